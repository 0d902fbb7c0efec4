//! `byline node`.

use std::io;

use byline_node::{Config, Server};

use crate::NodeArgs;
use crate::output::{Event, Printer};
use crate::session::interrupted;

pub(crate) fn run(args: &NodeArgs) -> anyhow::Result<()> {
    let server = bind(args)?;
    let (printer, url) = (Printer::new(args.json), server.url());
    let mut told = Ok(());
    server.serve(async {
        // Whoever is told that the node is ready may stop it at once.
        let interrupted = interrupted();
        told = printer.print(&Event::Ready { url: &url });
        if told.is_ok() {
            stopped(interrupted).await;
        }
    })?;
    Ok(told?)
}

pub(crate) fn bind(args: &NodeArgs) -> anyhow::Result<Server> {
    Ok(Server::bind(Config::new(args.listen, &args.domain))?)
}

/// Resolves when the node is to stop; a node that cannot hear signals goes on.
pub(crate) async fn stopped(interrupted: impl Future<Output = io::Result<()>>) {
    if interrupted.await.is_err() {
        std::future::pending::<()>().await;
    }
}
