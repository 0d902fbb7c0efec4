//! What the commands that speak with a node have in common.

use std::path::PathBuf;

use anyhow::anyhow;
use byline::{Address, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use crate::SessionArgs;

/// Runs a command on this thread.
pub(crate) fn block_on(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(command)
}

/// A runtime that is connected to the node of `url`'s domain.
pub(crate) async fn start(args: &SessionArgs, url: &Address) -> anyhow::Result<Runtime> {
    let key = match &args.key {
        Some(key) => key.clone(),
        None => data_folder()?.join("byline").join("key"),
    };
    let runtime = Runtime::builder()
        .node(&args.node)
        .domain(url.domain())
        .key_file(key)
        .start()?;
    let connected = runtime.connected().await;
    connected.map_err(|error| {
        anyhow!(
            "{}: {error}; is a node running there? `byline node` starts one",
            args.node
        )
    })?;
    Ok(runtime)
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
