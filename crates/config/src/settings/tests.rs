use super::*;
use crate::read;
use crate::reference::all_tables;

/// Goal: every default and every example is a value that the reader accepts, in its own table.
#[test]
fn defaults_and_examples_are_good() {
    for table in all_tables() {
        for setting in table.settings {
            let values = [Some(setting.example), setting.default].into_iter().flatten();
            values.for_each(|value| check(table, setting, value));
        }
    }
}

fn check(table: &TableDefinition, setting: &Setting, value: &str) {
    let line = format!("{} = {value}", setting.key);
    let service = "[service.api]\nrun = \"api\"\n";
    let health = if matches!(setting.key, "status" | "body") { "path = \"/\"\n" } else { "" };
    let text = match table.name {
        "" if setting.key == "service" => format!("{line}\n[[route]]\nfiles = \"public\""),
        "" => format!("{line}\n{service}"),
        "service" if matches!(setting.key, "run" | "at") => format!("[service.api]\n{line}"),
        "service" if setting.key == "group" => format!("{service}user = \"www-data\"\n{line}"),
        "service" => format!("{service}{line}"),
        "service.at" if setting.key == "url" => format!("[service.api.at]\n{line}"),
        "service.at" => format!("[service.api.at]\nurl = \"http://a\"\n{line}"),
        "service.environment" => format!("{service}environment = {{ X = {{ {line} }} }}"),
        "service.health" => format!("{service}[service.api.health]\n{health}{line}"),
        "route" if matches!(setting.key, "to" | "files" | "redirect" | "answer") => {
            format!("{service}[[route]]\n{line}")
        }
        "route.files" if setting.key == "folder" => format!("[[route]]\n{}\n{line}", table.header),
        "route.files" => format!("[[route]]\n{}\nfolder = \"public\"\n{line}", table.header),
        "route" if setting.key == "mirror" => {
            format!("{service}[service.next]\nrun = \"bin/next\"\n[[route]]\nto = \"api\"\n{line}")
        }
        "route.mirror" => {
            let to = if setting.key == "to" { "" } else { "to = \"next\"\n" };
            let next = "[service.next]\nrun = \"bin/next\"";
            format!("{service}{next}\n[[route]]\nto = \"api\"\n{}\n{to}{line}", table.header)
        }
        "route" => format!("{service}[[route]]\nto = \"api\"\n{line}"),
        "route.headers" => format!("{service}[[route]]\nto = \"api\"\n[route.headers]\n{line}"),
        "route.when" | "route.retry" => format!("{service}[[route]]\nto = \"api\"\n{}\n{line}", table.header),
        "route.redirect" if setting.key == "to" => format!("{service}[[route]]\n{}\n{line}", table.header),
        "route.redirect" => format!("{service}[[route]]\n{}\nto = \"https://a.test\"\n{line}", table.header),
        "route.answer" => format!("{service}[[route]]\n{}\n{line}", table.header),
        "certificate" if setting.key == "cert" => format!("{service}[[certificate]]\nkey = \"k\"\n{line}"),
        "certificate" => format!("{service}[[certificate]]\ncert = \"c\"\n{line}"),
        "edge.socket" if setting.key != "path" => format!("{service}[edge.socket]\npath = \"a.sock\"\n{line}"),
        "client_certificate" if setting.key != "authority" => {
            format!("{service}[[client_certificate]]\nauthority = [\"a\"]\n{line}")
        }
        _ => format!("{service}{}\n{line}", table.header.replace("NAME", "api")),
    };
    if let Err(mistakes) = read(&text, "prumo.toml", None, &|_| None) {
        panic!("{}.{}:\n{mistakes}", table.name, setting.key);
    }
}

/// Goal: what a definition says is said in whole sentences.
#[test]
fn texts_are_sentences() {
    for setting in all_tables().into_iter().flat_map(|table| table.settings) {
        for text in [setting.text, setting.why] {
            assert!(text.trim().ends_with('.') && !text.contains("  "), "{}: {text}", setting.key);
        }
    }
}
