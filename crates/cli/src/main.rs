//! The `byline` command: a node, and reporting, observing and reading from the shell.

mod backup;
mod chat;
mod children;
mod demo;
mod elsewhere;
mod handover;
mod identity;
mod input;
mod lines;
mod machine;
mod node;
mod observe;
mod outage;
mod output;
mod owners;
mod patch;
mod people;
mod read;
mod report;
mod session;
mod stored;
mod watch;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};
use session::Token;

/// Live JSON objects, each with exactly one author.
#[derive(Debug, Parser)]
#[command(name = "byline", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a Message Node: Reporters and Observers connect to it. SIGHUP has it read its keys and its
    /// certificate anew
    Node(ServeArgs),
    /// Report an object: each line of input is its next state
    Report(ReportArgs),
    /// Follow an object: print it, then every change. An outage is told on standard error once it has
    /// lasted 2 seconds, and then its end
    Observe(ObserveArgs),
    /// Print an object once
    Read(ReadArgs),
    /// Talk in a room, or open one. On a terminal it fills the screen; otherwise, and with --json, each line of
    /// input is a message or a /command, and each of output an event as JSON
    Chat(chat::ChatArgs),
    /// List the children of an object, or add some
    Children(children::ChildrenArgs),
    /// Let others in on an object of this user's, whichever process reports it
    Invite(owners::InviteArgs),
    /// Put somebody out of an object of this user's
    Kick(owners::KickArgs),
    /// Say who may read an object of this user's, or be told
    Access(owners::AccessArgs),
    /// Hand an object that this user has stored over to another, who accepts with `byline report --accept`
    Delegate(handover::DelegateArgs),
    /// Print who this user is, and carry the key that proves it to another device
    #[command(subcommand)]
    Identity(identity::Action),
    /// Copy the folder of a node or a runtime, as it is now, while it runs or not
    Backup(backup::BackupArgs),
    /// Put a backup where a node or a runtime is to find it
    Restore(backup::RestoreArgs),
    /// Run a node and report this machine's CPU, memory, load and network on it
    Demo(NodeArgs),
}

#[derive(Clone, Debug, Args)]
struct NodeArgs {
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:4680")]
    listen: SocketAddr,
    /// The domain this node serves: that of the addresses of its objects
    #[arg(long, default_value = "localhost")]
    domain: String,
    /// Print events as JSON, one a line
    #[arg(long)]
    json: bool,
}

/// Who may come to a node, and how.
#[derive(Clone, Debug, Args)]
struct ServeArgs {
    #[command(flatten)]
    node: NodeArgs,
    /// Keep in this folder what the node promises, made when there is none: claims, who may read, and what
    /// objects hold. Without it, a node that starts again has forgotten everything
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Keep at most so many MiB of what objects hold, of all together; with 0, Reporters answer all readers
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    content_max: usize,
    /// Ask everybody for a token (JWT) that one of the keys in this file has signed: public keys in PEM, or
    /// a JSON Web Key Set. Needed to listen where others reach the node
    #[arg(long, value_name = "FILE")]
    jwt_keys: Option<PathBuf>,
    /// The issuer (iss) that tokens must be of
    #[arg(long, value_name = "ISSUER", requires = "jwt_keys")]
    jwt_issuer: Option<String>,
    /// The audience (aud) that tokens must be for
    #[arg(long, value_name = "AUDIENCE", requires = "jwt_keys")]
    jwt_audience: Option<String>,
    /// Speak TLS, with the certificate in this PEM file
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key, a PEM file
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// The file that holds the token for /metrics [default: one made at the start and told, where only this
    /// machine reaches the node]
    #[arg(long, value_name = "FILE")]
    operator_token_file: Option<PathBuf>,
}

/// How a command reaches its node, and as whom.
#[derive(Clone, Debug, Args)]
struct SessionArgs {
    /// The node
    #[arg(long, value_name = "URL", default_value = "ws://127.0.0.1:4680/ws")]
    node: String,
    /// The file that holds this user's key, made when there is none [default: byline/key in the
    /// user's data folder]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The token (JWT) that shows who this user is, for a node that asks. Others may see an argument: there
    /// are the variable and --token-file
    #[arg(
        long,
        value_name = "TOKEN",
        env = "BYLINE_TOKEN",
        hide_env_values = true
    )]
    token: Option<Token>,
    /// The file that holds the token. It is read again whenever a newer one is needed
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Trust, at wss://, also the certificate authorities in this PEM file
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Print events as JSON, one a line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ReportArgs {
    /// The object's address, as in ctxt://localhost/kitchen
    url: String,
    /// Where the states come from, one JSON object a line [default: -, which is standard input]
    file: Option<String>,
    /// Take each line as a merge patch (RFC 7396) of the state before, the first one of {}: a null
    /// removes its key
    #[arg(long)]
    patch: bool,
    /// Report what this JSON file holds, and again whenever it changes. One that is incomplete or
    /// gone is waited for; a symbolic link is followed once, at the start
    #[arg(long, value_name = "FILE")]
    watch: Option<String>,
    /// Let everybody observe it, not only this user
    #[arg(long)]
    public: bool,
    /// The object's schema [default: by the scheme of its address]
    #[arg(long, value_name = "NAME")]
    schema: Option<String>,
    /// Leave at the end of the input, when the node has everything; nobody can read the object then
    /// until it is reported again, but those who observe it keep their copies
    #[arg(long)]
    exit: bool,
    /// Store the object in this folder, made when there is none. Run again, the report goes on with it, and the
    /// first line is its next state; who may read it stays as it was, and `byline access` changes that. With --json,
    /// what is stored is told. One command at a time uses the folder
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// Take the object from another device of this user's that holds it. Without it, the object is followed then
    #[arg(long, requires = "store")]
    take: bool,
    /// Wait until another user hands the object over, with `byline delegate`, and go on with it: the first line is its
    /// next state
    #[arg(long, conflicts_with = "take")]
    accept: bool,
    #[command(flatten)]
    session: SessionArgs,
}

impl ReportArgs {
    /// What was said that does not go together.
    const fn contradiction(&self) -> Option<&'static str> {
        if self.watch.is_none() {
            None
        } else if self.file.is_some() {
            Some("--watch FILE is all the input there is: leave out the other file")
        } else if self.patch {
            Some("--watch takes the file as the whole state, --patch a part of it: use one of them")
        } else if self.exit {
            Some("--exit leaves at the end of the input, and a file that is watched has none")
        } else {
            None
        }
    }
}

#[derive(Debug, Args)]
struct ObserveArgs {
    /// The object's address, as in ctxt://localhost/kitchen
    url: String,
    /// Leave with 0 once the copy has reached version N
    #[arg(long, value_name = "N")]
    until_version: Option<u64>,
    /// Leave with 1 after S seconds
    #[arg(long, value_name = "S")]
    timeout: Option<u64>,
    /// Store the copy in this folder, made when there is none: run again, it goes on from there. One command at a
    /// time uses the folder
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    #[command(flatten)]
    session: SessionArgs,
}

#[derive(Debug, Args)]
struct ReadArgs {
    /// The object's address, as in ctxt://localhost/kitchen
    url: String,
    #[command(flatten)]
    session: SessionArgs,
}

fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_env("BYLINE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let done = match Cli::parse().command {
        Command::Node(args) => node::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Identity(action) => identity::run(&action),
        Command::Backup(args) => backup::backup(&args),
        Command::Restore(args) => backup::restore(&args),
        Command::Report(args) => match args.contradiction() {
            None => session::block_on(report::run(args)),
            Some(why) => clap::Error::raw(ErrorKind::ArgumentConflict, format!("{why}\n")).exit(),
        },
        Command::Observe(args) => session::block_on(observe::run(args)),
        Command::Chat(args) => session::block_on(chat::run(args)),
        Command::Children(args) => session::block_on(children::run(args)),
        Command::Invite(args) => session::block_on(owners::invite(args)),
        Command::Kick(args) => session::block_on(owners::kick(args)),
        Command::Access(args) => session::block_on(owners::access(args)),
        Command::Delegate(args) => session::block_on(handover::delegate(args)),
        Command::Read(args) => session::block_on(read::run(args)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has left, which is their right.
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // One line, whatever the causes were. Where nobody reads it, the exit code still says it.
            let line = format!("{error:#}").replace('\n', " ");
            let _ = output::note(&format!("byline: {line}"));
            ExitCode::FAILURE
        }
    }
}
