//! prumo under systemd: sockets that systemd opened, sockets that it keeps, and what it is told. The service manager that
//! restarts prumo is a small one in Python here, which does as systemd does; `cargo xtask judge systemd` asks the real one.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test drives real processes in real time"
)]

use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;

use prumo_tests::ask;
use prumo_tests::process::{self, Signal, eventually};
use prumo_tests::site::{Site, file};
use prumo_tests::tool::Tool;
use prumo_tests::web_socket::{Heard, WebSocket};
use serde_json::Value;

/// How long anything may take here. Nothing is judged by time.
const WITHIN: Duration = Duration::from_secs(90);

/// The file says other ports than the ones that systemd opens: these count.
const ELSEWHERE: &str = r#"[site]
name = "test"

[edge]
address = "127.0.0.1"
http = [EDGE]
https = [TLS]

[admin]
listen = "127.0.0.1:[ADMIN]"

[service.web]
run = "[ZOO] well"
replicas = 1
health = { path = "/health", every = "20s", timeout = "20s", start_within = "60s" }

[[route]]
to = "web"
"#;

/// Two sites' worth of ports, so that the sockets have ports that no file names.
fn two_addresses() -> (SocketAddr, SocketAddr) {
    let other = Site::new("");
    (other.edge(), other.tls())
}

/// Starts `prumo up` by `systemd-socket-activate` with sockets at these addresses.
fn activate(site: &mut Site, more: &[&str], addresses: &[SocketAddr]) {
    let state = format!("PRUMO_STATE={}", site.state().display());
    let listen: Vec<String> = addresses.iter().map(|address| format!("--listen={address}")).collect();
    let listen: Vec<&str> = listen.iter().map(String::as_str).collect();
    let state = ["--setenv", &state, "--setenv", "HOME"];
    let program = Tool::find("systemd-socket-activate");
    site.start_under(program.path(), &[&state[..], more, &listen].concat());
}

/// Goal: prumo serves on the sockets that systemd has opened, each for what its name says and not its place, and answers
/// who connected before it ran; it opens none of its own beside them.
#[test]
fn sockets_of_systemd_are_served() {
    let mut site = Site::new(ELSEWHERE);
    let (clear, secure) = two_addresses();
    activate(&mut site, &["--fdname=https:http"], &[secure, clear]);
    let first = || ask::get(clear, "/whoami").is_ok_and(|answer| answer.status == 200);
    assert!(eventually(WITHIN, first), "{}", site.story());
    let curl = Tool::find("curl");
    let authority = site.state().join("certs/authority.pem").display().to_string();
    let url = format!("https://localhost:{}/whoami", secure.port());
    let said = curl.run(&["--silent", "--show-error", "--max-time", "60", "--cacert", &authority, &url]);
    assert!(said.code == Some(0) && said.out.contains("\"replica\""), "{said:?}\n{}", site.story());
    let status = site.must(&["status"]).out;
    assert!(status.contains(&format!("http://{clear}")) && status.contains(&format!("https://{secure}")), "{status}");
    for unused in [site.edge(), site.tls()] {
        assert!(TcpStream::connect(unused).is_err(), "{unused} is served beside the sockets");
    }
    assert_eq!(site.stop(), Some(0), "{}", site.story());
}

/// Goal: a socket that prumo cannot serve keeps it from starting, with its name and what to do: whoever connected there
/// would wait for ever.
#[test]
fn sockets_that_do_not_fit_are_told() {
    let check = |more: &[&str], text: &str, expected: &[&str]| {
        let mut site = Site::new(text);
        let (address, _) = two_addresses();
        activate(&mut site, more, &[address]);
        // Whoever connects, or sends, has prumo started.
        let knock = || {
            if more.contains(&"--datagram") {
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                drop(socket.send_to(b"knock", address));
            }
            drop(TcpStream::connect(address));
            site.has_ended()
        };
        assert!(eventually(WITHIN, knock), "{more:?}: prumo goes on\n{}", site.story());
        let log = site.log();
        assert_eq!(site.ended(), Some(6), "{more:?}: {log}");
        for part in expected {
            assert!(log.contains(part), "{more:?}: {part:?} is missing in {log}");
        }
    };
    check(&["--fdname=htps"], ELSEWHERE, &["called `htps`", "no name for a socket of prumo", "FileDescriptorName="]);
    check(&["--fdname=http", "--datagram"], ELSEWHERE, &["called `http`", "not a stream socket"]);
    let off = ELSEWHERE.replace("https = [TLS]", "https = \"off\"");
    check(&["--fdname=https"], &off, &["for HTTPS, which is off in the file", "https = \"auto\""]);
    let off = ELSEWHERE.replace("http = [EDGE]", "http = \"off\"");
    check(&["--fdname=http"], &off, &["for HTTP, which is off in the file"]);
}

/// What the service manager heard.
struct Notice {
    pid: u32,
    said: Value,
    descriptors: u64,
    heard: bool,
}

/// A site under a service manager.
struct Managed {
    site: Site,
}

impl Managed {
    fn start(more: &[(&str, &str)]) -> Managed {
        let mut site = Site::new(&file("[PRUMO] demo-app", 2, ""));
        site.write("manager.py", include_str!("systemd/manager.py"));
        let (socket, journal) = (site.root().join("notify.sock"), site.root().join("notices"));
        site.variable("NOTIFY_SOCKET", &socket.display().to_string());
        more.iter().for_each(|(name, value)| site.variable(name, value));
        let (python, manager) = (Tool::find("python3"), site.root().join("manager.py").display().to_string());
        site.start_under(python.path(), &[&manager, &journal.display().to_string()]);
        let up = eventually(WITHIN, || site.has_ended() || ask::get(site.admin(), "/health").is_ok());
        assert!(up && !site.has_ended(), "{}", site.story());
        site.await_healthy("web");
        Managed { site }
    }

    fn notices(&self) -> Vec<Notice> {
        let text = std::fs::read_to_string(self.site.root().join("notices")).unwrap_or_default();
        // The last line may be half written.
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines
            .map(|line| Notice {
                pid: u32::try_from(line["pid"].as_u64().unwrap()).unwrap(),
                said: line["said"].clone(),
                descriptors: line["descriptors"].as_u64().unwrap(),
                heard: line["heard"].as_bool().unwrap(),
            })
            .collect()
    }

    /// Waits for a notice that is listened to.
    fn await_notice(&self, what: &str, holds: impl Fn(&Notice) -> bool) {
        let told = eventually(WITHIN, || self.notices().iter().any(|notice| notice.heard && holds(notice)));
        let all = std::fs::read_to_string(self.site.root().join("notices")).unwrap_or_default();
        assert!(told, "{what}: not among\n{all}\n{}", self.site.story());
    }

    fn main(&self) -> u32 {
        let mut main = None;
        let known = eventually(WITHIN, || {
            main = self.site.main_pid();
            main.is_some()
        });
        assert!(known, "{}", self.site.story());
        main.unwrap()
    }

    /// Kills the main process; nobody is refused meanwhile, and another one serves with the replicas from before.
    fn kill_main(&self) {
        let (site, main) = (&self.site, self.main());
        let before = site.await_healthy("web");
        process::signal(main, Signal::KILL);
        assert!(eventually(WITHIN, || !process::lives(main)));
        assert!(TcpStream::connect(site.edge()).is_ok(), "nobody is refused while prumo is dead\n{}", site.story());
        let answer = site.get("/whoami");
        assert!(answer.as_ref().is_ok_and(|answer| answer.status == 200), "{answer:?}\n{}", site.story());
        assert_ne!(self.main(), main);
        assert_eq!(site.await_healthy("web").pids(), before.pids(), "replicas are adopted\n{}", site.story());
    }
}

/// Goal: systemd keeps the listening sockets, so that a killed prumo refuses nobody, again and again, and its replicas are
/// those from before.
#[test]
fn kept_sockets_refuse_nobody() {
    let managed = Managed::start(&[]);
    let main = managed.main();
    managed.await_notice("READY", |notice| notice.pid == main && notice.said["READY"] == "1");
    for name in ["prumo.http.", "prumo.admin."] {
        managed.await_notice(name, |notice| {
            let is_named = notice.said["FDNAME"].as_str().is_some_and(|given| given.starts_with(name));
            notice.said["FDSTORE"] == "1" && is_named && notice.descriptors == 1
        });
    }
    managed.kill_main();
    managed.kill_main();
}

/// Goal: systemd hears that all is well from whoever is the main process, who that is after an upgrade, and when the file is
/// read again and how that went; nobody else speaks to it.
#[test]
fn service_managers_are_told() {
    let mut managed = Managed::start(&[("WATCHDOG_USEC", "300000")]);
    let first = managed.main();
    let beats = |pid: u32| move |notice: &Notice| notice.pid == pid && notice.said["WATCHDOG"] == "1";
    managed.await_notice("the first is well", beats(first));
    process::signal(managed.site.pid(), Signal::HUP);
    managed.await_notice("it reads the file", |notice| {
        let since_boot = notice.said["MONOTONIC_USEC"].as_str().and_then(|micros| micros.parse::<u64>().ok());
        notice.said["RELOADING"] == "1" && since_boot.is_some_and(|micros| micros > 0)
    });
    managed.await_notice("it has read it", |notice| {
        notice.said["READY"] == "1" && notice.said["STATUS"] == "routes of prumo.toml applied"
    });
    managed.site.write("prumo.toml", "[service.web]\nrun = 7\n");
    process::signal(managed.site.pid(), Signal::HUP);
    managed.await_notice("it could not", |notice| {
        let status = notice.said["STATUS"].as_str().unwrap_or_default();
        notice.said["READY"] == "1" && status.contains("not applied")
    });
    managed.site.write("prumo.toml", &file("[PRUMO] demo-app", 2, ""));
    managed.site.must(&["upgrade"]);
    let second = managed.main();
    assert_ne!(first, second);
    let second_pid = second.to_string();
    managed.await_notice("whose turn it is", |notice| {
        notice.pid == first
            && notice.said["MAINPID"].as_str() == Some(second_pid.as_str())
            && notice.said["READY"] == "1"
    });
    managed.await_notice("the second is well", beats(second));
    managed.await_notice("the second has sockets kept", |notice| notice.pid == second && notice.said["FDSTORE"] == "1");
    // The first may have begun to say that all is well when its turn was over.
    let unheard = managed.notices().into_iter().filter(|notice| !notice.heard && !beats(first)(notice)).count();
    assert_eq!(unheard, 0, "all was said by the main process of that moment");
    managed.kill_main();
    assert_eq!(managed.site.stop(), Some(0), "{}", managed.site.story());
    managed.await_notice("the end", |notice| notice.said["STOPPING"] == "1");
}

/// Goal: systemd learns of the death of a successor although its elder still has a web socket: the elder, which is its
/// parent, leaves.
#[test]
fn an_elder_does_not_hide_a_dead_successor() {
    let managed = Managed::start(&[]);
    let first = managed.main();
    let mut socket = WebSocket::open(managed.site.edge());
    managed.site.must(&["upgrade"]);
    assert!(process::lives(first), "it has a web socket");
    let second = managed.main();
    managed.await_notice("the second is the main one", |notice| notice.pid == second && notice.said["FDSTORE"] == "1");
    managed.kill_main();
    assert!(eventually(WITHIN, || !process::lives(first)), "{}", managed.site.story());
    assert_eq!(socket.hear().unwrap(), Heard::Close(1001), "its client is told to come again");
}

/// Goal: a listening socket that somebody shuts down takes its core with it, and prumo ends: it is started again and
/// serves, with the replicas from before, instead of leaving whoever connects there to nobody.
#[test]
fn a_core_without_its_listener_ends_prumo() {
    let managed = Managed::start(&[]);
    let (site, main) = (&managed.site, managed.main());
    let before = site.await_healthy("web");
    managed.await_notice("its socket is kept", |notice| {
        notice.said["FDNAME"].as_str().is_some_and(|name| name.starts_with("prumo.http."))
    });
    process::signal(site.pid(), Signal::USR1);
    assert!(eventually(WITHIN, || !process::lives(main)), "{}", site.story());
    assert!(site.log().contains("a core of the edge has failed"), "{}", site.story());
    let answers = || site.get("/whoami").is_ok_and(|answer| answer.status == 200);
    assert!(eventually(WITHIN, answers), "{}", site.story());
    assert_ne!(managed.main(), main);
    assert_eq!(site.await_healthy("web").pids(), before.pids(), "replicas are adopted\n{}", site.story());
}

/// Goal: the units of the guide are good in the eyes of systemd.
#[test]
fn the_units_of_the_guide_are_good() {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guides/systemd.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut units = Vec::new();
    for block in guide.split("```ini\n").skip(1) {
        let (text, _) = block.split_once("```").unwrap();
        let name = text.lines().next().unwrap().rsplit('/').next().unwrap();
        let path = folder.path().join(name);
        // Its program must exist here, and nothing else is changed.
        let program = prumo_tests::binaries::prumo().display().to_string();
        std::fs::write(&path, text.replace("/usr/local/bin/prumo", &program)).unwrap();
        units.push(path.display().to_string());
    }
    assert_eq!(units.len(), 2, "{units:?}");
    let mut words = vec!["verify", "--man=no"];
    words.extend(units.iter().map(String::as_str));
    let said = Tool::find("systemd-analyze").run(&words);
    // It also complains about units of the machine, which are not ours.
    let about_ours = said.err.lines().filter(|line| line.contains("prumo")).collect::<Vec<_>>();
    assert!(about_ours.is_empty(), "{said:?}");
    assert_eq!(said.code, Some(0), "{said:?}");
}
