use rustix::process::{self, Signal as Kernel};

use super::*;

/// Goal: each signal that an operator or systemd sends means what the table says, and kills nobody.
#[tokio::test]
async fn signals_are_understood() {
    let mut signals = signals();
    for (sent, meant) in [(Kernel::TERM, Signal::Stop), (Kernel::HUP, Signal::Reload), (Kernel::INT, Signal::Stop)] {
        process::kill_process(process::getpid(), sent).unwrap();
        assert_eq!(signals.next().await, meant);
    }
}
