use super::*;

fn check(text: &str, expected: Result<&str, &str>) {
    let read = Cidr::parse(text).map(|cidr| cidr.to_string());
    assert_eq!(read, expected.map(str::to_owned).map_err(str::to_owned), "{text}");
}

fn check_contains(network: &str, address: &str, expected: bool) {
    let contains = Cidr::parse(network).unwrap().contains(address.parse().unwrap());
    assert_eq!(contains, expected, "{address} in {network}");
}

/// Goal: networks of both families, and single addresses.
#[test]
fn good() {
    check("10.0.0.0/8", Ok("10.0.0.0/8"));
    check("0.0.0.0/0", Ok("0.0.0.0/0"));
    check("127.0.0.1", Ok("127.0.0.1/32"));
    check("192.168.1.128/25", Ok("192.168.1.128/25"));
    check("::/0", Ok("::/0"));
    check("2001:db8::/32", Ok("2001:db8::/32"));
    check("::1", Ok("::1/128"));
}

/// Goal: every mistake has its own message.
#[test]
fn bad() {
    check("", Err("does not begin with an IP address"));
    check("10.0.0/8", Err("does not begin with an IP address"));
    check("10.0.0.256/8", Err("does not begin with an IP address"));
    check("localhost", Err("does not begin with an IP address"));
    check("10.0.0.0 /8", Err("does not begin with an IP address"));
    check("10.0.0.0/", Err("needs a number from 0 to 32 after the `/`"));
    check("10.0.0.0/33", Err("needs a number from 0 to 32 after the `/`"));
    check("10.0.0.0/-1", Err("needs a number from 0 to 32 after the `/`"));
    check("10.0.0.0/+8", Err("needs a number from 0 to 32 after the `/`"));
    check("10.0.0.0/255.0.0.0", Err("needs a number from 0 to 32 after the `/`"));
    check("::/129", Err("needs a number from 0 to 128 after the `/`"));
    check("10.0.0.1/8", Err("has bits set after the first 8; the network is `10.0.0.0/8`"));
    check("2001:db8::1/32", Err("has bits set after the first 32; the network is `2001:db8::/32`"));
}

/// Goal: the borders of a network, families apart, and IPv4 in IPv6 clothes.
#[test]
fn contains() {
    check_contains("10.0.0.0/8", "10.255.255.255", true);
    check_contains("10.0.0.0/8", "11.0.0.0", false);
    check_contains("0.0.0.0/0", "255.255.255.255", true);
    check_contains("127.0.0.1", "127.0.0.1", true);
    check_contains("127.0.0.1", "127.0.0.2", false);
    check_contains("2001:db8::/32", "2001:db8:ffff::1", true);
    check_contains("2001:db8::/32", "2001:db9::", false);
    check_contains("::/0", "2001:db8::1", true);
    check_contains("::/0", "10.0.0.1", false);
    check_contains("0.0.0.0/0", "::1", false);
    check_contains("10.0.0.0/8", "::ffff:10.1.2.3", true);
    check_contains("10.0.0.0/8", "::ffff:11.1.2.3", false);
}
