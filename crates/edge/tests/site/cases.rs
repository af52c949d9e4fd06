//! Cases in text files: where they lie, and many of them judged side by side.
#![allow(unreachable_pub, missing_docs, clippy::unwrap_used, reason = "a test reads files of its own")]

use std::path::{Path, PathBuf};

/// Most of the time is spent waiting, for what comes and for what must not come.
const WORKERS: usize = 8;

/// The `.txt` files of a folder of `tests`, in order.
pub fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    files
}

/// Judges every case, and fails with all that is wrong.
pub fn judge_all<C: Sync>(cases: &[C], judge: impl Fn(&C) -> Result<(), String> + Copy + Send) {
    let mut wrong: Vec<String> = std::thread::scope(|scope| {
        let judge_share = move |share: &[C]| share.iter().filter_map(|case| judge(case).err()).collect::<Vec<_>>();
        let shares = cases.chunks(cases.len().div_ceil(WORKERS));
        let workers: Vec<_> = shares.map(|share| scope.spawn(move || judge_share(share))).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    wrong.sort();
    assert!(wrong.is_empty(), "{} of {} cases:\n\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
