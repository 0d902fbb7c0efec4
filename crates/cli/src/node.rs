//! `byline node`.

use std::io;

use anyhow::Context as _;
use byline_node::{Certificate, Config, OperatorToken, People, Reload, Server};
use tokio::signal::unix::{SignalKind, signal};

use crate::output::{Event, Printer, note};
use crate::session::interrupted;
use crate::{NodeArgs, ServeArgs};

pub(crate) fn run(args: &ServeArgs) -> anyhow::Result<()> {
    let (config, told_token) = served(args)?;
    let server = Server::bind(config)?;
    let (printer, url, reload) = (Printer::new(args.node.json), server.url(), server.reload());
    let mut told = Ok(());
    server.serve(async {
        // Whoever is told that the node is ready may stop it at once, or have it read its files.
        let (interrupted, reloads) = (interrupted(), reloads(reload));
        told = printer.print(&Event::Ready {
            url: &url,
            operator_token: told_token.as_ref().map(OperatorToken::as_str),
        });
        if told.is_ok() {
            tokio::select! {
                () = stopped(interrupted) => {}
                () = reloads => {}
            }
        }
    })?;
    Ok(told?)
}

/// What is served to whom, and the operator's token when it has to be told.
fn served(args: &ServeArgs) -> anyhow::Result<(Config, Option<OperatorToken>)> {
    let mut config = config(&args.node);
    config.data.clone_from(&args.data);
    config.content_bytes_max = args.content_max.saturating_mul(1 << 20);
    config.people = args.jwt_keys.as_ref().map(|keys| {
        let mut people = People::new(keys);
        people.issuer.clone_from(&args.jwt_issuer);
        people.audience.clone_from(&args.jwt_audience);
        people
    });
    let certificate = args.tls_cert.clone().zip(args.tls_key.clone());
    config.certificate = certificate.map(|(chain, key)| Certificate { chain, key });
    let mut told = None;
    match &args.operator_token_file {
        Some(file) => config.operator_token = Some(OperatorToken::load(file)?),
        None if args.node.listen.ip().is_loopback() => {
            told = Some(OperatorToken::random().context("no random bytes")?);
            config.operator_token.clone_from(&told);
        }
        // Nobody is shown the metrics: a token must not stand in the log of a service.
        None => {}
    }
    Ok((config, told))
}

pub(crate) fn config(args: &NodeArgs) -> Config {
    Config::new(args.listen, &args.domain)
}

/// Has the node read its files whenever the system says so; listens from the call on.
fn reloads(reload: Reload) -> impl Future<Output = ()> {
    let hangups = signal(SignalKind::hangup());
    async move {
        let Ok(mut hangups) = hangups else {
            return std::future::pending().await;
        };
        while hangups.recv().await.is_some() {
            // Where nobody reads it, the node goes on all the same.
            let _ = match reload.reload() {
                Ok(()) => note("read the keys and the certificate anew"),
                Err(error) => note(&format!("byline: {error}; going on as before")),
            };
        }
    }
}

/// Resolves when the node is to stop; a node that cannot hear signals goes on.
pub(crate) async fn stopped(interrupted: impl Future<Output = io::Result<()>>) {
    if interrupted.await.is_err() {
        std::future::pending::<()>().await;
    }
}
