//! The PROXY protocol header of a load balancer.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| prumo_edge::fuzz::read_proxy_header(bytes));
