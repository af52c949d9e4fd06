//! The index and the explanation find the same route, whatever the routes and the request.

use proptest::prelude::*;

use super::*;

/// Words that meet one another often, so that routes overlap.
fn host() -> impl Strategy<Value = String> {
    proptest::sample::select(vec!["a.test", "b.a.test", "c.b.a.test", "test", "x", ""]).prop_map(str::to_owned)
}

/// As the file lets routes have them: with a slash at the beginning.
fn written_path() -> impl Strategy<Value = String> {
    let segment = proptest::sample::select(vec!["", "a", "b", "ab", "%61"]);
    proptest::collection::vec(segment, 0..4).prop_map(|segments| format!("/{}", segments.join("/")))
}

fn path() -> impl Strategy<Value = String> {
    prop_oneof![8 => written_path(), 1 => "[!-~]{0,8}".prop_map(|text| text.replace('?', ""))]
}

fn a_route() -> impl Strategy<Value = Route> {
    let expression = proptest::sample::select(vec!["/a.*", "/[ab]+", ".*", "/a/b?", "(/a|/b)*"]);
    let path = prop_oneof![
        written_path().prop_map(PathMatch::Prefix),
        written_path().prop_map(PathMatch::Exact),
        expression.prop_map(|text| PathMatch::Regex(text.to_owned())),
    ];
    let host = proptest::option::of((any::<bool>(), host()).prop_map(|(star, host)| match star {
        true => format!("*.{host}"),
        false => host,
    }));
    let words = proptest::sample::subsequence(vec!["GET", "POST"], 0..=2);
    let wanted = proptest::sample::select(vec![Wanted::Present, Wanted::Absent, Wanted::Equal("1".into())]);
    let conditions = |wanted: BoxedStrategy<Wanted>| {
        let name = proptest::sample::select(vec!["x", "y"]);
        let one = (name, wanted).prop_map(|(name, wanted)| Condition { name: name.to_owned(), wanted });
        proptest::collection::vec(one, 0..2)
    };
    let (headers, query) = (conditions(wanted.clone().boxed()), conditions(wanted.boxed()));
    (host, path, words, headers, query).prop_map(|(host, path, words, headers, query)| Route {
        host,
        path,
        methods: words.into_iter().map(str::to_owned).collect(),
        headers,
        query,
        ..Route::to("app")
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Goal: the index finds what the plain search through all routes finds.
    #[test]
    fn index_and_explanation_agree(
        routes in proptest::collection::vec(a_route(), 0..12),
        host in host(),
        path in path(),
        query in proptest::option::of(proptest::sample::select(vec!["x", "x=1", "y=1&x=2", "&", "x=1&x=3"])),
        is_post: bool,
        header in proptest::option::of((proptest::sample::select(vec!["x", "y"]), "[12]")),
    ) {
        let mut headers = HeaderMap::new();
        if let Some((name, value)) = header {
            headers.insert(name, value.parse().unwrap());
        }
        let method = if is_post { Method::POST } else { Method::GET };
        let question = Question { host: &host, path: &path, query, method: &method, headers: &headers };
        let found = RouteIndex::new(&routes).unwrap().find(&question);
        let explanation = explain(&routes, &question);
        prop_assert_eq!(found, explanation.chosen, "{:?}", routes);
        prop_assert_eq!(explanation.looks.len(), routes.len());
    }
}
