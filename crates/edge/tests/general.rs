//! The tests of `proxy.rs` once more, for the general path: plain HTTP/1.1 requests go the fast way elsewhere.

#[path = "proxy.rs"]
mod proxy;
