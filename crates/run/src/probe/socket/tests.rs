use super::*;

/// Goal: a replica cannot lead prumo to the socket of somebody else by a link.
#[tokio::test]
async fn links_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (own, link, file) = (folder.path().join("own"), folder.path().join("link"), folder.path().join("file"));
    let _listener = std::os::unix::net::UnixListener::bind(&own).unwrap();
    std::os::unix::fs::symlink(&own, &link).unwrap();
    std::fs::write(&file, "").unwrap();
    connect(&own).await.unwrap();
    for refused in [&link, &file] {
        assert_eq!(connect(refused).await.unwrap_err().to_string(), "this is not a socket");
    }
    assert_eq!(connect(&folder.path().join("none")).await.unwrap_err().kind(), io::ErrorKind::NotFound);
}
