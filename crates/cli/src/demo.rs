//! `byline demo`: a node, and this machine as a live object on it.

use std::time::Duration;

use anyhow::anyhow;
use byline::{Create, Runtime};
use byline_node::{Running, Server};

use crate::NodeArgs;
use crate::machine::Machine;
use crate::node::{config, stopped};
use crate::output::{Event, Printer, line};
use crate::session::{block_on, interrupted};

/// How often the machine is looked at.
const EVERY: Duration = Duration::from_secs(1);
/// Where a node listens when nothing else is said.
const PORT: u16 = 4680;

pub(crate) fn run(args: &NodeArgs) -> anyhow::Result<()> {
    let server = Server::bind(config(args))?;
    let printer = Printer::new(args.json);
    printer.print(&Event::Ready {
        url: &server.url(),
        operator_token: None,
    })?;
    let node = server.spawn()?;
    let done = block_on(async {
        tokio::select! {
            done = report(args, &node, printer) => done,
            () = stopped(interrupted()) => Ok(()),
        }
    });
    node.stop()?;
    done
}

async fn report(args: &NodeArgs, node: &Running, printer: Printer) -> anyhow::Result<()> {
    let runtime = Runtime::builder()
        .node(node.url())
        .domain(&args.domain)
        .start()?;
    let object = format!("ctxt://{}/machine", args.domain);
    let mut machine = Machine::new();
    let mut ticks = tokio::time::interval(EVERY);
    ticks.tick().await;
    let create = Create::new("Context", machine.look(EVERY.as_secs_f64()))
        .name("the machine that the demo runs on")
        .at(&object)
        .public();
    let reporter = runtime.syncher("demo")?.create(create)?;
    reporter
        .claimed()
        .await
        .map_err(|refusal| anyhow!("{object}: {refusal}"))?;
    printer.print(&Event::Created { url: &object })?;
    if !args.json {
        line(&next_steps(&object, node.local_addr().port()))?;
    }
    loop {
        ticks.tick().await;
        reporter.replace(machine.look(EVERY.as_secs_f64()))?;
    }
}

/// What to try next, word for word.
fn next_steps(object: &str, port: u16) -> String {
    let byline = std::env::var("BYLINE_COMMAND").unwrap_or_else(|_| "byline".to_owned());
    let node = if port == PORT {
        String::new()
    } else {
        format!(" --node ws://127.0.0.1:{port}/ws")
    };
    format!(
        "
This machine is now a live object. In a second terminal, watch it move:

    {byline} observe {object}{node}

Then try:

    {byline} read {object}{node}
    echo '{{\"temperature\": 21}}' | {byline} report ctxt://localhost/kitchen --public{node}
    {byline} observe ctxt://localhost/kitchen{node}

Ctrl-C ends it."
    )
}
