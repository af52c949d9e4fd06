//! What other tools call our settings, for those who come from there.

/// Their word and ours, from docker-compose, systemd, Kubernetes, nginx and Procfiles.
const WORDS: [(&str, &str); 26] = [
    ("build", "run"),
    ("command", "run"),
    ("cmd", "run"),
    ("cwd", "folder"),
    ("dir", "folder"),
    ("domain", "host"),
    ("entrypoint", "run"),
    ("env", "environment"),
    ("exec", "run"),
    ("healthcheck", "health"),
    ("image", "run"),
    ("instances", "replicas"),
    ("interval", "every"),
    ("intervall", "every"),
    ("mem_limit", "memory"),
    ("port", "listen"),
    ("ports", "listen"),
    ("prefix", "path"),
    ("proxy_pass", "to"),
    ("retries", "unhealthy"),
    ("scale", "replicas"),
    ("service", "to"),
    ("start_period", "start_within"),
    ("upstream", "to"),
    ("url", "path"),
    ("working_dir", "folder"),
];

/// Our word for theirs.
pub(super) fn ours(theirs: &str) -> Option<&'static str> {
    WORDS.iter().find(|(word, _)| *word == theirs).map(|(_, ours)| *ours)
}
