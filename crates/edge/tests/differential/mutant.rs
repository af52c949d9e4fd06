//! Requests that are nearly right, made from a seed.

/// Small and repeatable chance (xorshift).
pub struct Chance(u64);

impl Chance {
    pub fn of(seed: u64) -> Chance {
        Chance(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }
}

const LENGTH_NAMES: [&str; 6] =
    ["Content-Length", "content-length", "Content-Length ", " Content-Length", "Content_Length", "Content-Length\t"];
const ENCODING_NAMES: [&str; 5] =
    ["Transfer-Encoding", "TRANSFER-ENCODING", "Transfer-Encoding ", "Transfer_Encoding", "X\nTransfer-Encoding"];
const ENCODINGS: [&str; 12] = [
    "chunked",
    "chunked",
    "chunked",
    "Chunked",
    " chunked",
    "chunked ",
    "chunked, identity",
    "gzip, chunked",
    "xchunked",
    "chunked;a=b",
    "\x0bchunked",
    "identity",
];
const SIZES: [&str; 12] =
    ["5", "5", "5", "05", "+5", "0x5", "5 ", " 5", "5;a=b", "5;a\nb", "5\x00", "00000000000000005"];
const ENDS: [&str; 10] = ["\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\n", "\r", "\r\r\n"];
const VERSIONS: [&str; 8] =
    ["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/1.2", "http/1.1"];
const SPACES: [&str; 6] = [" ", " ", " ", " ", "  ", "\t"];
const METHODS: [&str; 6] = ["POST", "POST", "GET", "PUT", "OPTIONS", "post"];
const MORE: [&str; 10] = [
    "X: y",
    "Connection: close",
    "Connection: Content-Length",
    "Connection: Transfer-Encoding",
    "Expect: 100-continue",
    "Host: b.test",
    "X : y",
    "X: y\r\n z",
    "X: a\rb",
    "Upgrade: h2c",
];

/// One request with a few things wrong, and its usual successor behind it.
pub fn request(number: usize, chance: &mut Chance) -> Vec<u8> {
    let mut text = String::new();
    let mut end = |chance: &mut Chance| if chance.one_in(40) { chance.pick(&ENDS) } else { "\r\n" };
    let space = if chance.one_in(10) { chance.pick(&SPACES) } else { " " };
    text += &format!(
        "{}{space}/case-{number}-one {}",
        chance.pick(&METHODS),
        if chance.one_in(8) { chance.pick(&VERSIONS) } else { "HTTP/1.1" }
    );
    text += end(chance);
    text += "Host: a.test";
    text += end(chance);
    if chance.one_in(3) {
        text += chance.pick(&MORE);
        text += end(chance);
    }
    let (has_length, has_chunks) =
        if chance.one_in(8) { (true, true) } else { [(true, false), (false, true)][chance.below(2)] };
    let body = if has_chunks { chunks(chance, &mut end) } else { "hello".to_owned() };
    for _ in 0..1 + usize::from(chance.one_in(15)) {
        if has_length {
            let length = body.len();
            let value = [
                length.to_string(),
                length.to_string(),
                format!("+{length}"),
                format!("{length}, {length}"),
                (length / 2).to_string(),
            ][if chance.one_in(6) { chance.below(5) } else { 0 }]
            .clone();
            text +=
                &format!("{}: {value}", if chance.one_in(10) { chance.pick(&LENGTH_NAMES) } else { "Content-Length" });
            text += end(chance);
        }
    }
    for _ in 0..1 + usize::from(chance.one_in(15)) {
        if has_chunks {
            let name = if chance.one_in(10) { chance.pick(&ENCODING_NAMES) } else { "Transfer-Encoding" };
            let value = if chance.one_in(4) { chance.pick(&ENCODINGS) } else { "chunked" };
            text += &format!("{name}: {value}");
            text += end(chance);
        }
    }
    text += end(chance);
    text += &body;
    text += &format!("GET /case-{number}-two HTTP/1.1\r\nHost: a.test\r\n\r\n");
    text.into_bytes()
}

fn chunks(chance: &mut Chance, end: &mut impl FnMut(&mut Chance) -> &'static str) -> String {
    let mut text = String::new();
    for _ in 0..1 + chance.below(2) {
        text += if chance.one_in(5) { chance.pick(&SIZES) } else { "5" };
        text += end(chance);
        text += "hello";
        text += end(chance);
    }
    text += "0";
    text += end(chance);
    if chance.one_in(6) {
        text += "X-Trailer: 1";
        text += end(chance);
    }
    text += end(chance);
    text
}
