//! A body of 500 MB through TLS, and how much a proxy's memory grows meanwhile.

use std::fs::File;

use super::figure::{Figure, Goal, Measured};
use super::{Options, Stand};
use crate::bench::peer::OTHER_CORE;
use crate::checkout;
use crate::failure::Failure;
use crate::program::Program;

const BYTES: u64 = 500_000_000;

pub(super) fn measure(stand: &Stand, options: Options) -> Result<Vec<Figure>, Failure> {
    let file = stand.folder.join("upload");
    // A hole: what is read from it comes from no disk.
    let made = File::create(&file).and_then(|made| made.set_len(BYTES));
    made.map_err(|error| Failure::file("make", &file, &error))?;
    let mut took: Vec<[Vec<f64>; 2]> = stand.peers.iter().map(|_| Default::default()).collect();
    for round in 1..=options.rounds {
        for (peer, took) in stand.peers.iter().zip(&mut took) {
            peer.forget_peak()?;
            let before = peer.resident()?;
            let said = Program::on_core(OTHER_CORE, "curl")
                .args(["--silent", "--show-error", "--fail", "--insecure", "--http1.1", "--max-time", "120"])
                .args(["--write-out", " %{time_total}", "--upload-file"])
                .arg(&file)
                .arg(format!("{}upload", peer.url(true)))
                .output()?;
            let growth = peer.peak()?.saturating_sub(before) as f64 / 1e6;
            let seconds = said.strip_prefix(&BYTES.to_string()).and_then(|rest| rest.trim().parse::<f64>().ok());
            let seconds =
                seconds.ok_or_else(|| Failure::new(format!("{} lost a part of an upload: {said}", peer.name)))?;
            println!("upload, round {round}: {} {seconds:.2} s, {growth:.1} MB more", peer.name);
            took[0].push(seconds);
            took[1].push(growth);
        }
    }
    checkout::remove(&file)?;
    let rows =
        [("seconds", Goal::AtMost { goal: 5.0, must: 5.0 }), ("MB of growth", Goal::AtMost { goal: 32.0, must: 32.0 })];
    let figures = rows.into_iter().enumerate().map(|(index, (unit, goal))| {
        let measured = stand.peers.iter().zip(&took);
        let measured = measured.map(|(peer, took)| Measured { proxy: peer.kind, values: took[index].clone() });
        Figure { about: "500 MB upload through TLS".to_owned(), unit, measured: measured.collect(), goal }
    });
    Ok(figures.collect())
}
