use super::*;

/// The headers of the route of this file.
fn of_file(of_edge: &str, of_route_alone: &str) -> edge::Headers {
    let text = format!(
        "[edge.headers]\n{of_edge}\n[service.web]\nrun = \"web\"\n[[route]]\nto = \"web\"\n\
         [route.headers]\n{of_route_alone}\n"
    );
    let file = config::read(&text, "prumo.toml", None, &|_| None).map_err(|mistakes| mistakes.to_string()).unwrap();
    of_route(file.routes[0].headers.as_ref(), &file.edge)
}

/// Goal: what a route says counts, "off" included; where it says nothing, the edge's words count; and lists are laid over
/// each other by name, whatever its case.
#[test]
fn a_route_is_laid_over_the_edge() {
    let edge_says = r#"
        nosniff = false
        frame = "deny"
        referrer = "no-referrer"
        csp = "default-src 'self'"
        csp_enforce = true
        set = { Cache-Control = "no-store", X-Site = "edge" }
        remove = ["X-Generator"]
    "#;
    let headers = of_file(
        edge_says,
        r#"
        nosniff = true
        frame = "off"
        csp = "off"
        force = true
        set = { cache-control = "max-age=60" }
        add = { Vary = "Cookie" }
        remove = ["X-Runtime"]
    "#,
    );
    assert!(headers.nosniff && headers.csp_enforce && headers.force);
    assert!(matches!(headers.frame, edge::Frame::Off));
    assert_eq!((headers.referrer.as_deref(), headers.csp), (Some("no-referrer"), None));
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(headers.set, [pair("X-Site", "edge"), pair("cache-control", "max-age=60")]);
    assert_eq!(headers.add, [pair("Vary", "Cookie")]);
    assert_eq!(headers.remove, ["X-Generator", "X-Runtime"]);

    let silent = of_file(edge_says, "");
    assert!(!silent.nosniff && matches!(silent.frame, edge::Frame::Deny));
    assert_eq!(silent.csp.as_deref(), Some("default-src 'self'"));
    assert_eq!(silent.set, [pair("Cache-Control", "no-store"), pair("X-Site", "edge")]);
}
