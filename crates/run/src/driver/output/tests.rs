use super::*;
use std::io::Write;

/// Goal: what was written into a pipe while nobody read is there for whoever opens it again.
#[test]
fn a_pipe_keeps_what_nobody_reads() {
    let folder = tempfile::tempdir().unwrap();
    let pipes = Pipes::of(folder.path(), "api-1");
    let Opened { child, read } = pipes.make(None).unwrap();
    drop(read);
    let mut out = fs::File::from(child.0);
    out.write_all(&vec![b'x'; 100_000]).unwrap();
    let (again, _) = pipes.reopen().unwrap();
    let mut bytes = vec![0; 200_000];
    assert_eq!(rustix::io::read(&again, &mut bytes).unwrap(), 100_000);
    pipes.remove();
    assert!(pipes.reopen().is_err());
}
