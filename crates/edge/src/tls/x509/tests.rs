use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, KeyPair};

use super::*;

fn subject_of(parts: Vec<(DnType, DnValue)>) -> String {
    let mut params = CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
    let mut subject = DistinguishedName::new();
    for (kind, value) in parts {
        subject.push(kind, value);
    }
    params.distinguished_name = subject;
    let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    read(made.der()).unwrap().subject
}

fn text(text: &str) -> DnValue {
    DnValue::Utf8String(text.to_owned())
}

/// Goal: a subject is written as RFC 4514 says, last part first, and always as printable ASCII.
#[test]
fn subjects_are_written_as_the_standard_says() {
    let check = |parts: Vec<(DnType, DnValue)>, expected: &str| assert_eq!(subject_of(parts), expected);
    check(vec![], "");
    check(vec![(DnType::CommonName, text("alice"))], "CN=alice");
    check(
        vec![
            (DnType::CountryName, text("PT")),
            (DnType::OrganizationName, text("Shop, Lda.")),
            (DnType::CommonName, text("alice")),
        ],
        "CN=alice,O=Shop\\, Lda.,C=PT",
    );
    check(vec![(DnType::CommonName, text(" a+b "))], "CN=\\ a\\+b\\ ");
    check(vec![(DnType::CommonName, text("#1"))], "CN=\\#1");
    check(vec![(DnType::CommonName, text("é\r\nX-Admin: 1"))], "CN=\\C3\\A9\\0D\\0AX-Admin: 1");
    check(vec![(DnType::CustomDnType(vec![1, 2, 840, 113_549, 1, 9, 1]), text("a@b.test"))], "emailAddress=a@b.test");
    check(vec![(DnType::CustomDnType(vec![1, 3, 6, 1, 4, 1, 99_999]), text("x"))], "1.3.6.1.4.1.99999=#0c0178");
}

/// Goal: both forms of a date are read, before and after 2050, and nonsense is not a date.
#[test]
fn dates_are_read() {
    let check = |tag: u8, text: &str, expected: Option<&str>| {
        let mut der = vec![tag, u8::try_from(text.len()).unwrap()];
        der.extend_from_slice(text.as_bytes());
        assert_eq!(Der(&der).time().map(Timestamp::rfc3339).as_deref(), expected, "{text}");
    };
    check(UTC_TIME, "261121030229Z", Some("2026-11-21T03:02:29.000Z"));
    check(UTC_TIME, "500101000000Z", Some("1950-01-01T00:00:00.000Z"));
    check(GENERALIZED_TIME, "20500101000000Z", Some("2050-01-01T00:00:00.000Z"));
    check(GENERALIZED_TIME, "99991231235959Z", Some("9999-12-31T23:59:59.000Z"));
    check(UTC_TIME, "20261121030229Z", None);
    check(UTC_TIME, "2611210302Z", None);
    check(UTC_TIME, "261121030229+0100", None);
    check(UTC_TIME, "261321030229Z", None);
    check(UTC_TIME, "2611210302xxZ", None);
    check(INTEGER, "261121030229Z", None);
}

/// Goal: a certificate that ends too early, at any byte, is not read and does no harm.
#[test]
fn cut_certificates_are_not_read() {
    let made = rcgen::generate_simple_self_signed(vec!["a.test".to_owned()]).unwrap();
    let whole = made.cert.der();
    assert!(read(whole).is_some());
    for end in 0..whole.len() {
        assert_eq!(read(&whole[..end]), None, "{end} bytes");
    }
}
