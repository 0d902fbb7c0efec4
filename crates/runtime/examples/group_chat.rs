//! Three people talk in a room that one of them hosts: everybody writes in their own name, the host moderates,
//! and whoever comes late has all that was said. Run it: `cargo run -p byline --example group_chat`

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use byline::{ChildReporter, Children, Create, MemoryNode, Observer, Runtime, State};
use serde::{Deserialize, Serialize};
use serde_json::json;

const ROOM: &str = "comm://localhost/tea";

#[derive(Serialize, Deserialize)]
struct Message {
    name: String,
    text: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    for line in conversation().await? {
        println!("{line}");
    }
    Ok(())
}

/// All that happens, in a line for each.
pub(crate) async fn conversation() -> Result<Vec<String>, Box<dyn Error>> {
    // In place of the node in this process, `.node("ws://…")` speaks with a real one.
    let node = MemoryNode::start("localhost")?;
    let start = || Runtime::builder().memory(&node).start();
    let (ann, bob, eve) = (start()?, start()?, start()?);
    let mut told = Vec::new();

    let create = Create::new("Communication", json!({"topic": "tea"}))
        .at(ROOM)
        .public()
        .children("messages");
    let room = ann.syncher("chat")?.create(create)?;
    let anns = room.children("messages");
    let bobs_copy = join(&bob).await?;
    let bobs = bobs_copy.children("messages");

    say(&mut told, &anns, "Ann", "Is there tea?").await?;
    let mut answer = say(&mut told, &bobs, "Bob", "There is cofee").await?;
    // Only its author changes a message.
    answer.update(|message| message.text = "There is coffee".to_owned())?;
    answer.safe().await?;
    let rude = say(&mut told, &bobs, "Bob", "Tea is for the weak!").await?;
    // Only its author and the host remove it.
    anns.remove(rude.id()).await?;
    told.push("Ann removes that".to_owned());

    let eves_copy = join(&eve).await?;
    let eves = eves_copy.children("messages");
    told.push(format!(
        "Eve comes late, and finds {} messages",
        eves.list().len()
    ));
    say(&mut told, &eves, "Eve", "Do I smell coffee?").await?;

    // Who is put out is told why, and does not come back.
    room.kick(bob.identity().as_str(), "tea only").await?;
    let mut state = bobs_copy.state();
    let over = state.wait_for(|state| matches!(state, State::Closed(_)));
    if let State::Closed(why) = &*over.await? {
        told.push(format!("Bob has to leave: {}", why.desc));
    }
    say(&mut told, &anns, "Ann", "More tea for us").await?;

    let mut changes = eves.changes();
    while eves.list().len() < anns.list().len() {
        changes.next().await.ok_or("the room is closed")?;
    }
    let same = eves.list() == anns.list();
    told.push(format!("Eve has what Ann has: {same}"));
    Ok(told)
}

/// Observes the room, and waits until all that was said is here.
async fn join(runtime: &Runtime) -> Result<Observer, Box<dyn Error>> {
    let room = runtime.syncher("chat")?.subscribe(ROOM)?;
    room.state().wait_for(|state| *state == State::Live).await?;
    Ok(room)
}

/// Writes a message, and waits until it is safe: whoever reads after that has it.
async fn say(
    told: &mut Vec<String>,
    messages: &Children<Message>,
    name: &str,
    text: &str,
) -> Result<ChildReporter<Message>, Box<dyn Error>> {
    let mut said = messages.add(Message {
        name: name.to_owned(),
        text: text.to_owned(),
    })?;
    said.safe().await?;
    told.push(format!("{name}: {text}"));
    Ok(said)
}
