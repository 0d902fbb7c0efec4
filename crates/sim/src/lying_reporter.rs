//! A Reporter that lies about its own object: whatever it says, only its own readers are misled.

use std::sync::Arc;

use byline_core::stream::Position;
use serde_json::{Value, json};

use crate::forgery::manager;
use crate::liar::{LIES, Liar, REPORTER, commit};
use crate::random::Random;
use crate::world::{DOMAIN, World};

impl World {
    pub(crate) fn claims_its_own(&mut self, random: &mut Random) {
        let one = &mut self.liars[REPORTER];
        let (own, url) = (one.hyperty.clone(), format!("ctxt://{DOMAIN}/{LIES}"));
        let mut claim =
            json!({"url": url, "reporter": own, "take": true, "access": {"public": true}});
        let epoch = one.epoch + random.between(0, 1);
        match random.between(0, 4) {
            0 => claim["base"] = json!([epoch, one.version]),
            1 => {
                claim["base"] = json!([epoch, one.version + 5]);
                claim["snapshot"] = json!(true);
            }
            _ => claim["base"] = Value::Null,
        }
        let body = json!({"resources": [url, format!("{url}/subscription")], "source": own, "claim": claim});
        let frame = one.message("subscribe", &own, &manager(), &body);
        self.says(REPORTER, frame);
        self.liars[REPORTER].learns_its_claim();
    }

    pub(crate) fn writes_its_own(&mut self, random: &mut Random) {
        let (own, url) = (
            self.liars[REPORTER].hyperty.clone(),
            format!("ctxt://{DOMAIN}/{LIES}"),
        );
        for _ in 0..random.between(1, 5) {
            let one = &mut self.liars[REPORTER];
            let position = match random.between(0, 9) {
                0 => Position::new(one.epoch, one.version + 3),
                1 => Position::new(one.epoch + 1, one.version + 1),
                _ => {
                    one.version += 1;
                    Position::new(one.epoch, one.version)
                }
            };
            let mut body = commit(position, &own);
            match random.between(0, 5) {
                0 => body["hash"] = json!("AAAAAAAAAAAAAAAAAAAAAA"),
                1 => body["attribute"] = json!("not.there.at.all"),
                2 => body["attributeType"] = json!("array"),
                _ => {}
            }
            let frame = one.message("update", &url, &format!("{url}/changes"), &body);
            self.says(REPORTER, frame);
        }
    }

    /// Answers some of what it was asked, mostly wrongly.
    pub(crate) fn answers_its_own(&mut self, random: &mut Random) {
        let asked: Vec<Arc<str>> = self.liars[REPORTER].inbox.drain(..).collect();
        for frame in asked {
            let frame: Value = serde_json::from_str(&frame).unwrap_or_default();
            if !["subscribe", "read"].contains(&frame["type"].as_str().unwrap_or_default()) {
                continue;
            }
            let body = self.liars[REPORTER].false_content(random);
            let answer = json!({"id": frame["id"], "type": "response", "from": frame["to"], "to": frame["from"], "body": body});
            self.says(REPORTER, answer.to_string());
        }
    }
}

impl Liar {
    /// Goes by the newest claim that it was granted.
    pub(crate) fn learns_its_claim(&mut self) {
        let heard = self.inbox.iter().rev();
        let claims = heard.filter(|frame| frame.contains("\"access\""));
        let mut claims = claims.filter_map(|frame| serde_json::from_str::<Value>(frame).ok());
        let granted = claims.find_map(|answer| {
            let epoch = answer["body"]["epoch"].as_u64()?;
            Some((epoch, answer["body"]["position"][1].as_u64()?))
        });
        if let Some((epoch, version)) = granted.filter(|(epoch, _)| *epoch > self.epoch) {
            (self.epoch, self.version) = (epoch, version);
        }
    }

    /// An answer to a reader, mostly a wrong one.
    fn false_content(&self, random: &mut Random) -> Value {
        let (epoch, version) = (self.epoch, self.version);
        let position = json!([epoch, version]);
        let value = json!({"url": format!("ctxt://{DOMAIN}/{LIES}"), "data": {"n": version}});
        let mut body = json!({"code": 200, "epoch": epoch, "position": position, "value": value});
        match random.between(0, 11) {
            0 => body["hash"] = json!("AAAAAAAAAAAAAAAAAAAAAA"),
            1 => body["value"] = json!("no object"),
            2 => {
                let commits = [commit(Position::new(epoch, version), "x")];
                body =
                    json!({"code": 200, "epoch": epoch, "position": position, "commits": commits});
            }
            3 => body = json!({"code": 102, "desc": "a moment"}),
            4 => body = json!({"code": 503, "retry": 1}),
            5 => body["epoch"] = json!(epoch.saturating_sub(1)),
            6 => body["position"] = json!([epoch, version + 7]),
            7 => body = json!({"code": "many"}),
            8 => {
                // A claim from the future: what is written now is of an older one.
                body["epoch"] = json!(epoch + 3);
                body["position"] = json!([epoch, version.saturating_sub(2)]);
            }
            _ => {}
        }
        body
    }
}
