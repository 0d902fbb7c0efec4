//! `byline observe`.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use byline::{Address, Changed, Hash, Observer, Origin, Position, Runtime, State};
use serde_json::Value;

use crate::ObserveArgs;
use crate::output::{Event, Printer, left};
use crate::session::{interrupted, start};

pub(crate) async fn run(args: ObserveArgs) -> anyhow::Result<()> {
    let url = Address::object(&args.url)?;
    let timeout = async {
        match args.timeout {
            Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
            None => std::future::pending().await,
        }
    };
    let mut copy = Copy {
        url: &url,
        data: Value::Object(serde_json::Map::new()),
        version: None,
    };
    let followed = async {
        let runtime = start(&args.session, &url).await?;
        let done = tokio::select! {
            done = follow(&args, &runtime, &mut copy) => done,
            interrupted = interrupted() => interrupted.map_err(Into::into),
            () = left() => Ok(()),
        };
        runtime.close().await;
        done
    };
    tokio::select! {
        done = followed => return done,
        () = timeout => {}
    }
    let at = copy.version.map_or_else(
        || "without a copy".to_owned(),
        |v| format!("at version {v}"),
    );
    bail!(
        "{url}: time is over after {} s, {at}",
        args.timeout.unwrap_or_default()
    )
}

async fn follow(args: &ObserveArgs, runtime: &Runtime, copy: &mut Copy<'_>) -> anyhow::Result<()> {
    let observer: Observer = runtime.syncher("observe")?.subscribe(&args.url)?;
    let (mut changes, mut state) = (observer.changes(), observer.state());
    let printer = Printer::new(args.session.json);
    loop {
        tokio::select! {
            // Changes first: what closes an object comes after all of them.
            biased;
            changed = changes.next() => match changed {
                Some(changed) => {
                    let position = copy.step(&changed, printer)?;
                    if args.until_version.is_some_and(|until| position.version >= until) {
                        return Ok(());
                    }
                }
                None => return closed(&observer, printer),
            },
            told = state.changed() => {
                told.context("the runtime has ended")?;
                let now = state.borrow_and_update().clone();
                if !matches!(now, State::Closed(_)) {
                    printer.state(&now)?;
                }
            }
        }
    }
}

fn closed(observer: &Observer, printer: Printer) -> anyhow::Result<()> {
    let state = observer.state().borrow().clone();
    printer.state(&state)?;
    match state {
        State::Closed(refusal) => Err(anyhow!("{}: {refusal}", observer.url())),
        _ => bail!("{}: the session has ended", observer.url()),
    }
}

/// The document that this command has built itself, from nothing but the steps it was told.
struct Copy<'a> {
    url: &'a Address,
    data: Value,
    version: Option<u64>,
}

impl Copy<'_> {
    fn step(&mut self, changed: &Changed, printer: Printer) -> anyhow::Result<Position> {
        changed
            .apply_to(&mut self.data)
            .context("a step does not fit the copy")?;
        let first = self.version.replace(changed.position.version).is_none();
        let Position { epoch, version } = changed.position;
        let (data, url) = (&self.data, self.url.as_str());
        let hash = Hash::of(data);
        let whole = first || matches!(changed.origin, Origin::Snapshot | Origin::Rewound);
        let event = if whole {
            Event::Snapshot {
                url,
                epoch,
                version,
                hash,
                data,
            }
        } else {
            let paths = changed
                .edits
                .iter()
                .map(|edit| edit.change.path().to_string());
            Event::Change {
                epoch,
                version,
                hash,
                paths: paths.collect(),
                data,
                edits: &changed.edits,
            }
        };
        printer.print(&event)?;
        Ok(changed.position)
    }
}
