//! An object that one user hands over to another: `byline delegate`, and `byline report --accept`.

use std::path::PathBuf;

use anyhow::{anyhow, bail};
use byline::{Address, Create, Criteria, Notification, Refusal, Runtime, Syncher};
use clap::Args;

use crate::SessionArgs;
use crate::output::{Event, Printer, note};
use crate::report::HYPERTY;
use crate::session::{interrupted, start_with, token_wanted};

#[derive(Debug, Args)]
pub(crate) struct DelegateArgs {
    /// The object's address, as in ctxt://localhost/kitchen
    url: String,
    /// Who is to have it: an identity (user://…, user-guid://…), whose `byline report URL --accept` waits for it
    who: String,
    /// The folder where `byline report URL --store DIR` has stored the object
    #[arg(long, value_name = "DIR")]
    store: PathBuf,
    /// Stay one of its owners
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    session: SessionArgs,
}

pub(crate) async fn delegate(args: DelegateArgs) -> anyhow::Result<()> {
    let url = Address::object(&args.url)?;
    let runtime = start_with(&args.session, &url, Some(&args.store)).await?;
    let done = tokio::select! {
        done = hand_over(&args, &url, &runtime) => done,
        interrupted = interrupted() => interrupted.map_err(Into::into),
        why = token_wanted(&runtime, &args.session) => Err(why),
    };
    runtime.close().await;
    done
}

async fn hand_over(args: &DelegateArgs, url: &Address, runtime: &Runtime) -> anyhow::Result<()> {
    let stored = Criteria {
        url: Some(url.clone()),
        ..Criteria::default()
    };
    let resumed = runtime.syncher(HYPERTY)?.resume(stored);
    let Some(reporter) = resumed.reporters.into_iter().next() else {
        let store = args.store.display();
        bail!("{url} is not stored in {store}: `byline report {url} --store DIR` stores it");
    };
    let refused = |refusal: Refusal| anyhow!("{url}: {refusal}");
    reporter.claimed().await.map_err(refused)?;
    let observer = reporter.delegate(&args.who, args.keep).await;
    observer.map_err(|error| anyhow!("{url}: {error}"))?;
    Printer::new(args.session.json).print(&Event::Delegated {
        url: url.as_str(),
        to: &args.who,
    })?;
    Ok(())
}

/// Waits until the object is handed over to this user, and accepts; gives what claims it.
pub(crate) async fn accepted(
    runtime: &Runtime,
    syncher: &Syncher,
    url: &Address,
) -> anyhow::Result<Create> {
    let mut notifications = syncher.notifications();
    let own = runtime.identity();
    note(&format!("waiting until {url} is handed over to {own}"))?;
    while let Some(notification) = notifications.next().await {
        let Notification::Invited(invitation) = notification else {
            continue;
        };
        if invitation.is_to_take_over() && invitation.object() == url {
            let create = invitation.create();
            invitation.accept();
            return Ok(create);
        }
        invitation.reject("another object is waited for here");
    }
    bail!("the runtime has ended")
}
