use super::*;

/// Goal: a block contains its addresses and no others, also when they come mapped into IPv6.
#[test]
fn networks_contain_their_addresses() {
    let check = |block: &str, prefix: u8, address: &str, expected: bool| {
        let network = Network { address: block.parse().unwrap(), prefix };
        assert_eq!(network.contains(address.parse().unwrap()), expected, "{block}/{prefix} {address}");
    };
    check("10.0.0.0", 8, "10.255.0.1", true);
    check("10.0.0.0", 8, "11.0.0.1", false);
    check("192.0.2.7", 32, "192.0.2.7", true);
    check("192.0.2.7", 32, "192.0.2.6", false);
    check("0.0.0.0", 0, "203.0.113.9", true);
    check("0.0.0.0", 0, "2001:db8::1", false);
    check("10.0.0.0", 8, "::ffff:10.1.2.3", true);
    check("2001:db8::", 32, "2001:db8:1::1", true);
    check("2001:db8::", 32, "2001:db9::1", false);
    check("::", 0, "2001:db8::1", true);
    check("10.0.0.0", 200, "10.0.0.0", true);
}
