use super::*;

/// Goal: it is known where a redirect leads: to its own route whatever is asked for, to a path that this route takes unless
/// another does, or away.
#[test]
fn redirects_lead_somewhere() {
    let check = |to: &str, host: Option<&str>, path: PathMatch, expected: Leads| {
        let answers = Answers { http: false, https: true };
        let found = leads(&Template::parse(to).unwrap(), host, &path, answers);
        assert_eq!(found, expected, "{to} {host:?} {path:?}");
    };
    let prefix = |path: &str| PathMatch::Prefix(path.to_owned());
    let exact = |path: &str| PathMatch::Exact(path.to_owned());
    let to = |path: &str| Leads::To(path.to_owned());
    let shop = Some("shop.test");
    check("$path", None, prefix("/"), Leads::Back);
    check("https://$host$path$query", None, prefix("/"), Leads::Back);
    check("https://shop.test$path$query", shop, prefix("/a"), Leads::Back);
    check("https://Shop.Test$path", shop, prefix("/a"), Leads::Back);
    check("https://shop.test$path$query", Some("www.shop.test"), prefix("/"), Leads::Away);
    check("https://shop.test$path$query", None, prefix("/"), Leads::Away);
    check("http://$host$path", None, prefix("/"), Leads::Away);
    check("https://$host:8443$path", None, prefix("/"), Leads::Away);
    check("/a", None, exact("/a"), Leads::Back);
    check("/a?x=1", None, exact("/a"), Leads::Away);
    check("/b", None, exact("/a"), Leads::Away);
    check("/old$rest", None, prefix("/old"), Leads::Back);
    check("/new$rest", None, prefix("/old"), Leads::Away);
    check("/older", None, prefix("/old"), Leads::Away);
    check("/old/new", None, prefix("/old"), to("/old/new"));
    check("/new", None, prefix("/"), to("/new"));
    check("/new$path$query", None, prefix("/"), to("/new"));
    check("https://shop.test", shop, prefix("/"), to("/"));
    check("https://shop.test/new", shop, prefix("/"), to("/new"));
    check("https://$host", None, prefix("/a"), Leads::Away);
    check("/$1", None, PathMatch::Regex("/x/(.*)".to_owned()), Leads::Away);
}
