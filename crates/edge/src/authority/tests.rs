use super::*;

/// Goal: files that do not belong together are refused by name instead of serving what no client trusts.
#[test]
fn strange_files_are_refused() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for folder in [&one, &two] {
        Authority::open(folder.path(), Clock::system()).unwrap();
    }
    fs::copy(two.path().join(KEY_FILE), one.path().join(KEY_FILE)).unwrap();
    let error = Authority::open(one.path(), Clock::system()).err().unwrap().to_string();
    assert!(error.contains("authority.key is not the key of authority.pem"), "{error}");
    fs::remove_file(two.path().join(KEY_FILE)).unwrap();
    let error = Authority::open(two.path(), Clock::system()).err().unwrap().to_string();
    assert!(error.contains("authority.key cannot be read"), "{error}");
}

/// Goal: a crash between writing the key and the certificate is mended by the next start.
#[test]
fn a_lone_key_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(KEY_FILE), "half a key").unwrap();
    fs::write(folder.path().join("authority.draft"), "half a certificate").unwrap();
    let made = Authority::open(folder.path(), Clock::system()).unwrap();
    let kept = Authority::open(folder.path(), Clock::system()).unwrap();
    assert_eq!(made.certificate, kept.certificate);
}

/// Goal: certificates are valid now and expire when they should.
#[test]
fn certificates_have_their_time() {
    let now = Timestamp::from_millis(1_795_230_000_000);
    let params = leaf_params(vec!["a.test".to_owned()], now).unwrap();
    assert_eq!(params.not_before, rcgen::date_time_ymd(2026, 11, 20));
    assert_eq!(params.not_after, rcgen::date_time_ymd(2027, 2, 19));
    assert!(LEAF_RENEWAL.as_secs() < LEAF_DAYS * 86_400 / 2, "renewed long before it expires");
}
