//! Files (protocol.md §9): who may ask for a chunk, who is asked, and what passes of the answer. The
//! node keeps none of it.

use super::Node;
use super::admission::Passage;
use super::request::Request;
use super::session::SessionId;
use super::stamping::stamp;
use super::wanted::Wanted;
use crate::address::Address;
use crate::children::ChunkWanted;
use crate::error::Refusal;
use crate::limits::{CHUNK_ANSWER_BYTES_MAX, CHUNK_ASKED_BYTES_MAX};
use crate::message::Header;

impl Node {
    /// A chunk of a file is asked for: by those who read the object, and by its Reporter.
    pub(super) fn admit_chunk(
        &self,
        session: SessionId,
        url: &str,
        name: &str,
        header: &Header<'_>,
    ) -> Result<Passage, Refusal> {
        let (object, record) = self.may_speak(session, url, &header.from)?;
        record.check_name(url, name)?;
        if header.body.len() > CHUNK_ASKED_BYTES_MAX {
            return Err(Refusal::too_large(format!(
                "field `body`: to ask for a chunk takes at most {CHUNK_ASKED_BYTES_MAX} bytes"
            )));
        }
        let ChunkWanted { resource, .. } = header.decode()?;
        let text = stamp(header, self.sessions[&session].identity.as_ref())?;
        let (url, wanted) = (object.url.clone(), Wanted::Chunk(resource.author().clone()));
        let request = Request::new(session, header, Some(url), wanted, text)?;
        Ok(Passage::Forward(Box::new(request)))
    }

    /// Who can have the files of `author`: itself, while it observes or reports the object, else who holds
    /// that. None of them when it is away, or asks itself.
    pub(super) fn has_file(
        &self,
        url: &Address,
        author: &Address,
        asker: SessionId,
    ) -> Option<SessionId> {
        let object = self.objects.get(url)?;
        let other = |session: &SessionId| {
            let connected = |id| self.sessions.get(id)?.connection;
            *session != asker && connected(session).is_some()
        };
        // Of a reader alone: nobody is led to ask whoever it likes by this way.
        let author = object.routes.observers().get(author).copied();
        author.filter(other).or(object.holder.filter(other))
    }

    /// Whether the answer to `request` may pass: its asker may have lost its route meanwhile, and who
    /// answers may not burden it with more than a chunk.
    pub(super) fn check_chunk(
        &self,
        url: &Address,
        request: &Request,
        answer: &Header<'_>,
    ) -> Result<(), Refusal> {
        self.may_speak(request.asker, url.as_str(), &request.ask.from)?;
        if answer.body.len() > CHUNK_ANSWER_BYTES_MAX {
            return Err(Refusal::broken(format!(
                "who has the file answered with more than {CHUNK_ANSWER_BYTES_MAX} bytes: that is no chunk"
            )));
        }
        Ok(())
    }
}
