//! What a node said in a recovery, for a floor that says the same.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::line::{Line, PATIENCE};
use crate::storm::{Answers, Requests};

/// What the floor needs to know: who says how much, and what to say then.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Recording {
    /// The answer to the upgrade, for the one key that the clients use.
    pub(crate) switching: String,
    pub(crate) observers: Vec<Exchange>,
}

/// One observer's requests, by their length, and the messages that answer each.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Exchange {
    pub(crate) open_bytes: usize,
    pub(crate) opened: String,
    pub(crate) subscribe_bytes: usize,
    pub(crate) subscribed: Vec<String>,
}

impl Recording {
    pub(crate) fn new(requests: &[Requests], answers: &[Answers]) -> Result<Self> {
        let first = answers.first().context("no observer")?;
        let exchange = |(requests, answers): (&Requests, &Answers)| Exchange {
            open_bytes: requests.open.len(),
            opened: answers.opened.clone(),
            subscribe_bytes: requests.subscribe.len(),
            subscribed: answers.subscribed.clone(),
        };
        Ok(Self {
            switching: first.switching.clone(),
            observers: requests.iter().zip(answers).map(exchange).collect(),
        })
    }

    /// Gives a floor what it needs to know, and waits until it is ready. It runs until the line that is
    /// returned is closed.
    pub(crate) fn hand_to(&self, floor: SocketAddr) -> Result<Line> {
        let mut feed = Line::connect(floor)?;
        feed.write(format!("{}\n", serde_json::to_string(self)?).as_bytes())?;
        let ready = feed.text(Instant::now() + PATIENCE)?;
        ready.context("the floor did not take the recording")?;
        Ok(feed)
    }
}
