//! What the commands that speak with a node have in common.

use std::convert::Infallible;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context as _, anyhow};
use byline::{Address, Connection, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use crate::SessionArgs;

/// A token that is not printed.
#[derive(Clone)]
pub(crate) struct Token(String);

impl FromStr for Token {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Runs a command on this thread.
pub(crate) fn block_on(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(command)
}

/// A runtime that is connected to the node of `url`'s domain.
pub(crate) async fn start(args: &SessionArgs, url: &Address) -> anyhow::Result<Runtime> {
    start_with(args, url, None).await
}

/// The same of one that stores in this folder, with its key unless another is named.
pub(crate) async fn start_with(
    args: &SessionArgs,
    url: &Address,
    store: Option<&Path>,
) -> anyhow::Result<Runtime> {
    let mut builder = Runtime::builder().node(&args.node).domain(url.domain());
    if let Some(store) = store {
        builder = builder.store(store);
    }
    if store.is_none() || args.key.is_some() {
        builder = builder.key_file(key_file(args.key.as_deref())?);
    }
    if let Some(ca) = &args.ca {
        builder = builder.ca_file(ca);
    }
    if let Some(file) = &args.token_file {
        builder = builder.token(read_token(file)?);
        let file = file.clone();
        builder = builder.token_from(move || std::future::ready(read_token(&file)));
    } else if let Some(Token(token)) = &args.token {
        builder = builder.token(token);
    }
    let runtime = builder.start()?;
    let connected = runtime.connected().await;
    connected.map_err(|error| {
        let hint = if error.to_string().contains("certificate") {
            "name the authority that made it with --ca FILE"
        } else {
            "is a node running there? `byline node` starts one"
        };
        anyhow!("{}: {error}; {hint}", args.node)
    })?;
    Ok(runtime)
}

/// Resolves when the node wants a token, or another one, that this command has no more of.
pub(crate) async fn token_wanted(runtime: &Runtime, args: &SessionArgs) -> anyhow::Error {
    let mut connection = runtime.connection();
    loop {
        if let Connection::NeedsAuth(why) = &*connection.borrow_and_update()
            && args.token_file.is_none()
        {
            return anyhow!(
                "{}: {why}; give a token with --token-file FILE or in BYLINE_TOKEN",
                args.node
            );
        }
        if connection.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

fn read_token(file: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file);
    let text = text.with_context(|| format!("token file {}", file.display()))?;
    Ok(text.trim().to_owned())
}

/// Resolves when the user or the system wants this process to end. Listens from the call on, which
/// must be inside a tokio runtime, not only once it is awaited.
pub(crate) fn interrupted() -> impl Future<Output = std::io::Result<()>> {
    let signals = signal(SignalKind::interrupt())
        .and_then(|interrupt| Ok((interrupt, signal(SignalKind::terminate())?)));
    async {
        let (mut interrupt, mut terminate) = signals?;
        tokio::select! {
            _ = interrupt.recv() => Ok(()),
            _ = terminate.recv() => Ok(()),
        }
    }
}

/// The file with this user's key: the one that was named, or the one that all commands take.
pub(crate) fn key_file(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    match named {
        Some(file) => Ok(file.to_owned()),
        None => Ok(data_folder()?.join("byline").join("key")),
    }
}

/// Where this user's programs keep their data (XDG Base Directory Specification).
fn data_folder() -> anyhow::Result<PathBuf> {
    let folder = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    folder("XDG_DATA_HOME")
        .or_else(|| folder("HOME").map(|home| home.join(".local").join("share")))
        .ok_or_else(|| anyhow!("neither XDG_DATA_HOME nor HOME is set: say where with --key FILE"))
}
