//! `byline node`.

use byline_node::{Config, Server};

use crate::NodeArgs;
use crate::output::{Event, Printer};
use crate::session::interrupted;

pub(crate) fn run(args: &NodeArgs) -> anyhow::Result<()> {
    let server = bind(args)?;
    Printer::new(args.json).print(&Event::Ready { url: &server.url() })?;
    Ok(server.serve(stopped())?)
}

pub(crate) fn bind(args: &NodeArgs) -> anyhow::Result<Server> {
    Ok(Server::bind(Config::new(args.listen, &args.domain))?)
}

/// Resolves when the node is to stop; a node that cannot hear signals goes on.
pub(crate) async fn stopped() {
    if interrupted().await.is_err() {
        std::future::pending::<()>().await;
    }
}
