//! The words of the command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use prumo_api::Role;

/// Production in one binary, and the proof that it holds.
#[derive(Debug, Parser)]
#[command(name = "prumo", version, propagate_version = true, subcommand_required = true, max_term_width = 110)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct CommandLine {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub command: Command,
}

const AFTER_HELP: &str = "\
Examples:
  prumo demo             a demo site in a minute, gone on Ctrl-C
  prumo check            is prumo.toml good?
  prumo up               run the site of prumo.toml
  prumo deploy api       a new release of the service api

Exit codes:
  0 done, 1 failed, 2 usage, 3 bad file, 4 unhealthy, 5 no such thing, 6 refused";

/// What every command takes.
#[derive(Clone, Debug, Args)]
pub(crate) struct Common {
    /// The one file [env: PRUMO_FILE]
    #[arg(long, global = true, value_name = "FILE", default_value = "prumo.toml")]
    pub file: PathBuf,
    /// Whether somebody named the file.
    #[arg(skip)]
    pub file_is_named: bool,
    /// The state folder [default: .prumo beside the file, or /var/lib/prumo for root where that exists] [env: PRUMO_STATE]
    #[arg(long, global = true, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// The overlay `[env.NAME]` to lay over the file [env: PRUMO_ENV]
    #[arg(long, global = true, value_name = "NAME")]
    pub env: Option<String>,
    /// Answer in JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// No progress and no remarks: only what was asked for, and what went wrong
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

impl Common {
    /// The same for another prumo, whatever its working folder and environment are.
    pub(crate) fn for_another(&self) -> Vec<OsString> {
        let state = crate::state::locate(self.state.as_deref(), &self.file);
        let mut arguments: Vec<OsString> = vec!["--file".into(), crate::state::absolute(&self.file).into()];
        arguments.extend(["--state".into(), state.into()]);
        if let Some(overlay) = &self.env {
            arguments.extend(["--env".into(), overlay.into()]);
        }
        if self.quiet {
            arguments.push("--quiet".into());
        }
        if self.json {
            arguments.push("--json".into());
        }
        arguments
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the site: edge, replicas and admin listener, in the foreground
    ///
    /// Replicas of an earlier run that still live are adopted, not restarted. Ctrl-C or SIGTERM finishes what is in
    /// flight and stops everything; a second one means now. SIGHUP reads the file again and applies its routes and
    /// certificates.
    #[command(after_help = "Examples:\n  prumo up --env staging\n  prumo up --keep")]
    Up {
        /// Start prumo again when it ends unasked, holding its listening sockets meanwhile
        ///
        /// The keeper is a process of its own, which does nothing else. It passes signals on and ends with the exit code
        /// of prumo when that stops in order or cannot start.
        #[arg(long)]
        keep: bool,
        /// Take over from whoever is at the other end of the standard input
        #[arg(long, hide = true, conflicts_with = "keep")]
        inherit: bool,
    },
    /// Replace the running prumo by another program, or by the same one anew, without losing a request
    ///
    /// The successor takes over the listening sockets and the replicas; the process before finishes its requests and web
    /// sockets. When the successor does not come up nothing has changed. Needs systemd with `Type=notify`, or
    /// `prumo up --keep`: something must go on when the process ends that was started.
    #[command(after_help = "Examples:\n  prumo upgrade\n  prumo upgrade ./prumo-0.2.0")]
    Upgrade {
        /// The program; the present one, as it lies on disk, when absent
        program: Option<PathBuf>,
        /// How many seconds it may take to be ready
        #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=600))]
        within: u64,
    },
    /// Run a demo site of three replicas on ports 8080 and 8443
    ///
    /// Everything it needs is in the binary. It prints what to try, and leaves on Ctrl-C with everything stopped.
    #[command(after_help = "Example:\n  prumo demo")]
    Demo(Demo),
    /// Say whether the file is good, with every mistake and its place
    ///
    /// Mistakes in the file, and in certificate files that are here, are exit code 3. What the file names and this machine
    /// does not have, such as a program, a folder, a user or a secret, is a warning with exit code 0: the file may be for
    /// another machine. A deploy there looks again, and starts nothing while something is missing.
    #[command(after_help = "Example:\n  prumo check --file staging.toml")]
    Check,
    /// Show what a deploy of the file would change on the running site
    #[command(after_help = "Example:\n  prumo plan --json")]
    Plan,
    /// Say which route of the file takes a request, why, and what is done with it
    ///
    /// It sends nothing and needs no running prumo: it looks at the file. Each route that is for the same host and path is
    /// named with what kept it from taking the request, in the order in which routes go.
    #[command(
        after_help = "Examples:\n  prumo route https://shop.dev/api/users\n  prumo route POST https://shop.dev/api -H 'x-beta: on'\n  prumo route https://shop.dev/admin --from 203.0.113.9"
    )]
    #[command(override_usage = "prumo route [OPTIONS] [METHOD] <URL>")]
    Route {
        /// The method, if it is not GET, and the address
        #[arg(required = true, num_args = 1..=2, value_name = "[METHOD] URL")]
        request: Vec<String>,
        /// A header, as for curl
        #[arg(long = "header", short = 'H', value_name = "NAME: VALUE")]
        headers: Vec<String>,
        /// The address that the request comes from: says whether it is admitted
        #[arg(long, value_name = "ADDRESS")]
        from: Option<std::net::IpAddr>,
    },
    /// Close routes for a while, or open them again
    ///
    /// Their clients get a 503 with a page and the time to come again, or wait, as `[maintenance]` of the file says. It
    /// lasts until it is turned off, also over a restart. The services go on running.
    #[command(
        after_help = "Examples:\n  prumo maintenance on\n  prumo maintenance off\n  prumo maintenance on checkout"
    )]
    Maintenance {
        /// Whether the routes are to be in maintenance
        to: Position,
        /// The routes by name; every one when absent
        routes: Vec<String>,
    },
    /// Explain a setting: what it does, its default and why
    #[command(after_help = "Examples:\n  prumo explain route.timeout\n  prumo explain service")]
    Explain {
        /// The setting or table; all tables when absent
        key: Option<String>,
    },
    /// Make the file true: a new release of the services named, or of all
    ///
    /// New replicas start first and must be healthy before they get traffic; the old ones then drain and stop. A
    /// release that does not become healthy leaves the old one serving.
    #[command(after_help = "Examples:\n  prumo deploy\n  prumo deploy api worker")]
    Deploy {
        /// Services; all when absent
        services: Vec<String>,
    },
    /// Make the release before serve again, or another one
    ///
    /// A release is what the file said of the service when it was deployed: the command, its environment and every other
    /// setting. That is what comes back, start-first and only when it is healthy. The files of the app's folder are not
    /// part of it, nor are routes: to go back to older code as well, give each release a folder of its own, or put the
    /// older code in place first.
    #[command(after_help = "Examples:\n  prumo rollback api\n  prumo rollback api --to 3")]
    Rollback {
        /// The service
        service: String,
        /// The number of the release
        #[arg(long, value_name = "RELEASE")]
        to: Option<u64>,
    },
    /// Change how many replicas of a service run, and wait until they do
    ///
    /// Exit code 4 when they are not all healthy in the time that the service has for its start; what was asked for stays
    /// wanted all the same. Ctrl-C ends the waiting, not the change.
    #[command(after_help = "Example:\n  prumo scale api 4")]
    Scale {
        /// The service
        service: String,
        /// How many replicas
        #[arg(value_parser = read_replicas)]
        replicas: u32,
    },
    /// Replace every replica of a service, start-first, on the same release
    #[command(after_help = "Example:\n  prumo restart api")]
    Restart {
        /// The service
        service: String,
    },
    /// Drain and stop every replica of a service, until a deploy or restart
    #[command(after_help = "Example:\n  prumo stop worker")]
    Stop {
        /// The service
        service: String,
    },
    /// Show what runs
    #[command(after_help = "Examples:\n  prumo status\n  prumo status api --json")]
    Status {
        /// Only this service
        service: Option<String>,
        /// One line a service
        #[arg(long)]
        short: bool,
    },
    /// Show what the replicas of a service printed
    #[command(after_help = "Examples:\n  prumo logs api -n 50\n  prumo logs api -f")]
    Logs {
        /// The service
        service: String,
        /// Go on as lines come
        #[arg(long, short)]
        follow: bool,
        /// How many of the last lines
        #[arg(long, short = 'n', value_name = "N", default_value_t = 100)]
        lines: usize,
    },
    /// Run a command as the service would: its environment, folder and user
    #[command(after_help = "Example:\n  prumo exec api -- alembic upgrade head")]
    Exec {
        /// The service
        service: String,
        /// The command and its arguments
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
        command: Vec<String>,
    },
    /// Show how each part and each service is; exit code 4 when requests go unanswered
    ///
    /// The whole is as bad as its worst line. healthy: all is well; exit code 0. degraded: every request has an answer, but
    /// something is less than it should be, is stopped or closed by a person, or will need one; exit code 0. unhealthy: a
    /// part is down, or a service has nobody to answer its requests, whether it failed, was stopped or lies outside and
    /// cannot be reached; exit code 4.
    #[command(after_help = "Example:\n  prumo health && echo fine")]
    Health,
    /// Watch the front door
    Edge {
        #[command(subcommand)]
        action: EdgeAction,
    },
    /// Keep the secrets that the file names
    Secret {
        #[command(subcommand)]
        action: SecretAction,
    },
    /// Make and revoke tokens for the admin listener
    Token {
        #[command(subcommand)]
        action: TokenAction,
    },
    /// Show the audit log and verify that nobody altered it
    AuditLog {
        #[command(subcommand)]
        action: AuditAction,
    },
    /// Let this machine trust the local authority, or no longer
    ///
    /// The local authority makes the certificates of hosts that no `[[certificate]]` covers, so that development has HTTPS.
    /// Its certificate is put into the system's list (Debian: /usr/local/share/ca-certificates and
    /// update-ca-certificates, which only root may) and into the databases of this user's browsers (with certutil).
    /// Its key never leaves the state folder. Only trust it where you trust whoever can read that folder.
    #[command(
        after_help = "Examples:\n  prumo trust\n  sudo prumo trust --state $PWD/.prumo\n  prumo trust --remove\n  prumo trust --print > authority.pem"
    )]
    Trust(Trust),
    /// Print the completions for a shell
    #[command(after_help = "Example:\n  prumo completions bash > /etc/bash_completion.d/prumo")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// The app of the demo site
    #[command(hide = true)]
    DemoApp,
    /// The reference of the command line, for the documentation
    #[command(hide = true)]
    HelpMarkdown,
}

fn read_replicas(typed: &str) -> Result<u32, String> {
    match typed.parse() {
        Ok(0) => Err("`prumo stop SERVICE` stops every replica".to_owned()),
        Ok(replicas @ 1..=100) => Ok(replicas),
        _ => Err("a service has 1 to 100 replicas".to_owned()),
    }
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Demo {
    /// The port for HTTP
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    pub http: u16,
    /// The port for HTTPS
    #[arg(long, value_name = "PORT", default_value_t = 8443)]
    pub https: u16,
    /// The port of the admin listener
    #[arg(long, value_name = "PORT", default_value_t = 7700)]
    pub admin: u16,
    /// How many replicas
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub replicas: u32,
    /// The folder to use, which is then kept [default: one in the temporary folder, removed at the end]
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum EdgeAction {
    /// Show requests, errors and latency by route and by replica, each second anew; q leaves
    ///
    /// Errors are answers with a status of 500 and above. Latencies are of the last second: whole answers for a route, the
    /// time to the first byte for a replica. Not on a terminal, the lines are repeated. With `--json`, one second as JSON.
    #[command(after_help = "Examples:\n  prumo edge top\n  prumo edge top --once")]
    Top {
        /// One second, then leave
        #[arg(long)]
        once: bool,
    },
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Trust {
    /// Take it out again, everywhere
    #[arg(long)]
    pub remove: bool,
    /// Change nothing: print the certificate
    #[arg(long, conflicts_with = "remove")]
    pub print: bool,
    /// The folder that stands for `/`, as when an image is built
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Position {
    On,
    Off,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SecretAction {
    /// Store a secret; its value is read from standard input
    #[command(
        after_help = "Examples:\n  prumo secret set db-password\n  pass show shop/db | prumo secret set db-password"
    )]
    Set {
        /// Its name
        name: String,
    },
    /// List the names of the secrets
    #[command(after_help = "Example:\n  prumo secret list")]
    List,
    /// Remove a secret
    #[command(after_help = "Example:\n  prumo secret remove db-password")]
    Remove {
        /// Its name
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenAction {
    /// Make a token and print it, this once
    #[command(after_help = "Example:\n  prumo token create ci --role operator")]
    Create {
        /// What it is for
        name: String,
        /// What it may do
        #[arg(long, value_enum, default_value_t = RoleWord::Viewer)]
        role: RoleWord,
    },
    /// List the tokens, without their values
    #[command(after_help = "Example:\n  prumo token list")]
    List,
    /// Make a token useless, at once
    #[command(after_help = "Example:\n  prumo token revoke ci")]
    Revoke {
        /// Its name
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditAction {
    /// List entries, oldest first
    #[command(after_help = "Example:\n  prumo audit-log list --after 120")]
    List {
        /// Only entries after this number
        #[arg(long, value_name = "SEQ", default_value_t = 0)]
        after: u64,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: u32,
    },
    /// Recompute the chain; works on a stopped site too
    #[command(after_help = "Example:\n  prumo audit-log verify")]
    Verify,
}

/// A role on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum RoleWord {
    /// May look
    Viewer,
    /// May also change what runs
    Operator,
    /// May also see and change secrets, tokens and the audit log
    Admin,
}

impl From<RoleWord> for Role {
    fn from(word: RoleWord) -> Role {
        match word {
            RoleWord::Viewer => Role::Viewer,
            RoleWord::Operator => Role::Operator,
            RoleWord::Admin => Role::Admin,
        }
    }
}
