//! `byline observe`.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use byline::{Address, Changed, Hash, Observer, Origin, Position, State, Subscribe};
use serde_json::Value;
use tokio::time::Instant;

use crate::ObserveArgs;
use crate::outage::Outage;
use crate::output::{Event, Printer, left, note, word};
use crate::session::{interrupted, start_with, token_wanted};

pub(crate) async fn run(args: ObserveArgs) -> anyhow::Result<()> {
    let url = Address::object(&args.url)?;
    let timeout = async {
        match args.timeout {
            Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(timeout);
    let mut copy = Copy::of(&url);
    let runtime = tokio::select! {
        runtime = start_with(&args.session, &url, args.store.as_deref()) => runtime?,
        () = &mut timeout => return Err(copy.late(&args)),
    };
    let mut subscribe = Subscribe::to(&args.url);
    if args.store.is_some() {
        subscribe = subscribe.store();
    }
    let observer = runtime.syncher("observe")?.subscribe(subscribe)?;
    let printer = Printer::new(args.session.json);
    let done = tokio::select! {
        done = follow(args.until_version, &observer, &mut copy, printer) => done,
        interrupted = interrupted() => interrupted.map_err(Into::into),
        why = token_wanted(&runtime, &args.session) => Err(why),
        () = left() => Ok(()),
        () = &mut timeout => Err(copy.late(&args)),
    };
    // Of an object that was never here there is nothing to count.
    let told = copy
        .version
        .map_or(Ok(()), |_| printer.counters(observer.counters()));
    runtime.close().await;
    done.and(told.map_err(Into::into))
}

/// Prints what becomes of a copy, until it is at version `until`, or the object is closed.
pub(crate) async fn follow(
    until: Option<u64>,
    observer: &Observer,
    copy: &mut Copy<'_>,
    printer: Printer,
) -> anyhow::Result<()> {
    let (mut changes, mut state) = (observer.changes(), observer.state());
    let mut outage = Outage::default();
    loop {
        let outage_due = outage.due();
        let outage_lasts = async {
            match outage_due {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // Changes first: what closes an object comes after all of them.
            biased;
            changed = changes.next() => match changed {
                Some(changed) => {
                    let position = copy.step(&changed, printer)?;
                    if until.is_some_and(|until| position.version >= until) {
                        return Ok(());
                    }
                }
                None => return closed(observer, printer),
            },
            told = state.changed() => {
                told.context("the runtime has ended")?;
                let now = state.borrow_and_update().clone();
                if printer.is_json() && !matches!(now, State::Closed(_)) {
                    printer.state(&now)?;
                } else if let Some(told) = outage.state(&now, Instant::now()) {
                    note(&told)?;
                }
            }
            () = outage_lasts => {
                outage.tell().as_deref().map_or(Ok(()), note)?;
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
pub(crate) struct Copy<'a> {
    url: &'a Address,
    data: Value,
    version: Option<u64>,
}

impl<'a> Copy<'a> {
    pub(crate) fn of(url: &'a Address) -> Self {
        Self {
            url,
            data: Value::Object(serde_json::Map::new()),
            version: None,
        }
    }

    /// That the time is over, and how far the copy came.
    fn late(&self, args: &ObserveArgs) -> anyhow::Error {
        let at = self.version.map_or_else(
            || "without a copy".to_owned(),
            |version| format!("at version {version}"),
        );
        let seconds = args.timeout.unwrap_or_default();
        anyhow!("{}: time is over after {seconds} s, {at}", self.url)
    }

    fn step(&mut self, changed: &Changed, printer: Printer) -> anyhow::Result<Position> {
        changed
            .apply_to(&mut self.data)
            .context("a step does not fit the copy")?;
        let first = self.version.replace(changed.position.version).is_none();
        let Position { epoch, version } = changed.position;
        let (data, url) = (&self.data, self.url.as_str());
        let (hash, origin) = (Hash::of(data), word(changed.origin));
        let whole = first || matches!(changed.origin, Origin::Snapshot | Origin::Rewound);
        let event = if whole {
            Event::Snapshot {
                url,
                epoch,
                version,
                hash,
                origin: Some(origin),
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
                origin,
                paths: paths.collect(),
                data,
                edits: &changed.edits,
            }
        };
        printer.print(&event)?;
        Ok(changed.position)
    }
}
