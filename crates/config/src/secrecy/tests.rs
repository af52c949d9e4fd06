use super::*;

fn check(line: &str, expected: &str) {
    assert_eq!(mask(line), expected);
}

/// Goal: texts after names of secrets are masked, all others stay readable.
#[test]
fn masked() {
    check("DB_PASSWORD = \"hunter22\"", "DB_PASSWORD = \"********\"");
    check("environment.api_token='abc' # t", "environment.api_token='***' # t");
    check("\"API_KEY\" = \"a\\\"b\" , X = \"y\"", "\"API_KEY\" = \"**\"*\" , X = \"y\"");
    check("SECRET = \"never closed", "SECRET = \"***** ******");
    check("A = \"b\", B_SECRET = \"c\"", "A = \"b\", B_SECRET = \"*\"");
    check("DB_PASSWORD = { secret = \"db\" }", "DB_PASSWORD = { secret = \"db\" }");
    check("key = \"certs/shop.key\"", "key = \"certs/shop.key\"");
    check("PASSWORD = 5", "PASSWORD = 5");
    check("é = \"ü\"", "é = \"ü\"");
}

/// Goal: the names that smell.
#[test]
fn names() {
    for name in ["DB_PASSWORD", "password", "SECRET_BASE", "API_KEY", "api_key", "GITHUB_TOKEN", "KEY"] {
        assert!(smells_secret(name), "{name}");
    }
    for name in ["LOG_LEVEL", "secret", "key", "MONKEY", "KEYBOARD"] {
        assert!(!smells_secret(name), "{name}");
    }
}
