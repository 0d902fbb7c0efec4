//! `byline children`: the children of an object, listed, followed and added.

use anyhow::{Context as _, anyhow, bail};
use byline::{
    Address, Child, ChildChangeKind, ChildId, Children, ChildrenStep, Observer, Runtime, State,
};
use clap::{Args, Subcommand};
use futures_util::FutureExt as _;

use crate::SessionArgs;
use crate::lines::Lines;
use crate::output::{Event, Printer, left, note};
use crate::session::{interrupted, start, token_wanted};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct ChildrenArgs {
    #[command(subcommand)]
    command: Option<ChildrenCommand>,
    #[command(flatten)]
    list: Option<ListArgs>,
    #[command(flatten)]
    session: SessionArgs,
}

#[derive(Debug, Subcommand)]
enum ChildrenCommand {
    /// Add a child for each line of input, and wait until it is safe
    Add(AddArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    /// The object's address, as in comm://localhost/tea
    url: String,
    /// The collection, as in messages
    name: String,
    /// Go on, and print what becomes of them
    #[arg(long)]
    follow: bool,
}

#[derive(Debug, Args)]
struct AddArgs {
    /// The object's address, as in comm://localhost/tea
    url: String,
    /// The collection, as in messages
    name: String,
    /// Where the children come from, one JSON object a line [default: -, which is standard input]
    file: Option<String>,
    #[command(flatten)]
    session: SessionArgs,
}

pub(crate) async fn run(args: ChildrenArgs) -> anyhow::Result<()> {
    match (args.command, args.list) {
        (Some(ChildrenCommand::Add(args)), _) => {
            let lines = Lines::open(args.file.as_deref().unwrap_or("-"))?;
            let printer = Printer::new(args.session.json);
            at(
                &args.url,
                &args.name,
                &args.session,
                false,
                async |children| add(children, lines, printer).await,
            )
            .await
        }
        (None, Some(ListArgs { url, name, follow })) => {
            let printer = Printer::new(args.session.json);
            at(&url, &name, &args.session, follow, async |children| {
                list(children, follow, printer).await
            })
            .await
        }
        (None, None) => bail!("say which children: byline children URL NAME"),
    }
}

/// Does something with the children of an object, once they are here.
async fn at(
    url: &str,
    name: &str,
    args: &SessionArgs,
    waits: bool,
    done: impl AsyncFnOnce(Children) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let url = Address::object(url)?;
    let runtime = start(args, &url).await?;
    let done = tokio::select! {
        done = async {
            let (observer, children) = come(&runtime, &url, name, waits).await?;
            done(children).await?;
            closed(&observer, &url)
        } => done,
        interrupted = interrupted() => interrupted.map_err(Into::into),
        why = token_wanted(&runtime, args) => Err(why),
        () = left() => Ok(()),
    };
    runtime.close().await;
    done
}

/// Waits until the children are here.
async fn come(
    runtime: &Runtime,
    url: &Address,
    name: &str,
    waits: bool,
) -> anyhow::Result<(Observer, Children)> {
    let observer = runtime.syncher("children")?.subscribe(url.as_str())?;
    let mut state = observer.state();
    loop {
        match &*state.borrow_and_update() {
            // Its Reporter may be away, and what the object holds is here.
            State::Live | State::Stale(_) => break,
            State::Waiting(why) if waits => note(why)?,
            State::Waiting(why) => bail!("{url}: {why}"),
            State::Closed(refusal) => bail!("{url}: {refusal}"),
            _ => {}
        }
        state.changed().await.context("the runtime has ended")?;
    }
    let children = observer.children(name);
    Ok((observer, children))
}

/// Whether the object was there to the end.
fn closed(observer: &Observer, url: &Address) -> anyhow::Result<()> {
    match &*observer.state().borrow() {
        State::Closed(refusal) => Err(anyhow!("{url}: {refusal}")),
        _ => Ok(()),
    }
}

async fn list(children: Children, follow: bool, printer: Printer) -> anyhow::Result<()> {
    let mut changes = children.changes();
    let Some(Some(ChildrenStep::All(all))) = changes.next().now_or_never() else {
        bail!("the object has no such children: its Reporter names them when it creates it");
    };
    each(&all, printer)?;
    while follow && let Some(step) = changes.next().await {
        match step {
            ChildrenStep::All(all) => each(&all, printer)?,
            ChildrenStep::Changed(changed) => {
                for change in &changed.changes {
                    match &change.kind {
                        ChildChangeKind::Added(child) | ChildChangeKind::Updated { child, .. } => {
                            one(&change.id, child, printer)?;
                        }
                        ChildChangeKind::Removed { moderated } => {
                            printer.print(&Event::Removed {
                                id: change.id.to_string(),
                                moderated: *moderated,
                            })?;
                        }
                    }
                }
            }
        }
    }
    Ok(())
}

fn each(all: &[(ChildId, Child)], printer: Printer) -> anyhow::Result<()> {
    all.iter()
        .try_for_each(|(id, child)| one(id, child, printer))
}

fn one(id: &ChildId, child: &Child, printer: Printer) -> anyhow::Result<()> {
    Ok(printer.print(&Event::Child {
        id: id.to_string(),
        created: &child.created,
        identity: child.identity.as_ref().map(|identity| identity.as_str()),
        value: &child.value,
    })?)
}

async fn add(children: Children, mut lines: Lines, printer: Printer) -> anyhow::Result<()> {
    while let Some(value) = lines.next().await? {
        let mut child = children.add(value).with_context(|| lines.place())?;
        let safe = child.safe().await;
        safe.map_err(|refusal| anyhow!("{}: {refusal}", lines.place()))?;
        let id = child.id().to_string();
        printer.print(&Event::Added { id: &id })?;
    }
    Ok(())
}
