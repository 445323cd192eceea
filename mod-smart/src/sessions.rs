//! Client windows: which requests have been ordered. Replicated state, changed by delivery alone.
//!
//! Sessions of a client are numbered by its start time, so they only grow. In each session a window slides over the
//! numbers: its low edge is the lowest number *not yet ordered*, so a request that was acknowledged never slides out of
//! it. What is forgotten (an old session, a client that was silent longest) leaves a floor behind: nothing at or below
//! a floor is ever ordered again, so no replay succeeds.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::codec::{CodecError, Reader, Writer};
use crate::id::{Client, InstanceId, RequestId, Sequence, SessionId};
use crate::limits::{CLIENTS_MAX, SESSIONS_MAX};

/// The windows of all clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sessions {
    clients: BTreeMap<Client, ClientSessions>,
    /// The greatest session of a client that was forgotten.
    floor: SessionId,
    width: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct ClientSessions {
    open: BTreeMap<SessionId, Window>,
    /// The greatest session that ended.
    ended: SessionId,
    /// The last instance that ordered a request of this client.
    active: InstanceId,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Window {
    low: Sequence,
    above: BTreeSet<Sequence>,
}

/// Where a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Not yet ordered, inside its window.
    Fresh,
    /// A body was ordered under this id.
    Ordered,
    /// At or beyond the end of its window.
    Beyond,
    /// Its session has ended.
    Ended,
}

impl Sessions {
    /// No client yet; windows of this width.
    #[must_use]
    pub const fn new(width: u64) -> Self {
        Self { clients: BTreeMap::new(), floor: SessionId(0), width }
    }

    /// Where does this request stand?
    #[must_use]
    pub fn standing(&self, id: RequestId) -> Standing {
        if id.sequence.0 == 0 {
            return Standing::Ended;
        }
        let Some(client) = self.clients.get(&id.client) else {
            return if id.session <= self.floor { Standing::Ended } else { self.inside(Sequence(1), id.sequence) };
        };
        match client.open.get(&id.session) {
            Some(window) if id.sequence < window.low || window.above.contains(&id.sequence) => Standing::Ordered,
            Some(window) => self.inside(window.low, id.sequence),
            None if id.session <= client.ended => Standing::Ended,
            None => self.inside(Sequence(1), id.sequence),
        }
    }

    /// Marks a request as ordered by this instance. Says whether it was fresh; if not, nothing changes and the request
    /// must be skipped.
    pub fn order(&mut self, id: RequestId, instance: InstanceId) -> bool {
        if self.standing(id) != Standing::Fresh {
            return false;
        }
        self.make_room(id.client);
        let floor = self.floor;
        let client = self
            .clients
            .entry(id.client)
            .or_insert_with(|| ClientSessions { ended: floor, ..ClientSessions::default() });
        client.active = instance;
        client.open.entry(id.session).or_insert_with(Window::new).order(id.sequence);
        if client.open.len() > SESSIONS_MAX
            && let Some((oldest, _)) = client.open.pop_first()
        {
            client.ended = client.ended.max(oldest);
        }
        true
    }

    const fn inside(&self, low: Sequence, sequence: Sequence) -> Standing {
        if sequence.0 - low.0 < self.width { Standing::Fresh } else { Standing::Beyond }
    }

    fn make_room(&mut self, newcomer: Client) {
        if self.clients.contains_key(&newcomer) || self.clients.len() < CLIENTS_MAX {
            return;
        }
        let silent = self.clients.iter().min_by_key(|(id, client)| (client.active, **id)).map(|(id, _)| *id);
        if let Some(forgotten) = silent.and_then(|id| self.clients.remove(&id)) {
            let last = forgotten.open.last_key_value().map_or(SessionId(0), |(session, _)| *session);
            self.floor = self.floor.max(last).max(forgotten.ended);
        }
    }

    /// The bytes of this state; equal states have equal bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::with_capacity(1024);
        writer.u64(self.floor.0);
        writer.count(self.clients.len());
        for (id, client) in &self.clients {
            writer.client(*id);
            writer.u64(client.ended.0);
            writer.u64(client.active.0);
            writer.count(client.open.len());
            for (session, window) in &client.open {
                writer.u64(session.0);
                writer.u64(window.low.0);
                writer.count(window.above.len());
                for sequence in &window.above {
                    writer.u64(sequence.0);
                }
            }
        }
        writer.finish()
    }

    /// Reads the state back, for windows of this width. Only the bytes that [`Sessions::encode`] gives are taken: a
    /// quorum signs the digest of a state, and two encodings of one state would have two.
    ///
    /// # Errors
    /// The bytes are not such a state.
    pub fn decode(bytes: Bytes, width: u64) -> Result<Self, CodecError> {
        let mut reader = Reader::new(bytes);
        let floor = SessionId(reader.u64()?);
        let clients = reader.list(CLIENTS_MAX, 20, |reader| Ok((reader.client()?, decode_client(reader)?)))?;
        reader.finish()?;
        ascending(clients.iter().map(|(client, _)| client))?;
        Ok(Self { clients: clients.into_iter().collect(), floor, width })
    }
}

impl Window {
    fn new() -> Self {
        Self { low: Sequence(1), above: BTreeSet::new() }
    }

    fn order(&mut self, sequence: Sequence) {
        self.above.insert(sequence);
        while self.above.remove(&self.low) {
            self.low = self.low.next();
        }
    }
}

fn decode_client(reader: &mut Reader) -> Result<ClientSessions, CodecError> {
    let ended = SessionId(reader.u64()?);
    let active = reader.instance()?;
    let open = reader.list(SESSIONS_MAX, 20, |reader| {
        let session = SessionId(reader.u64()?);
        let low = Sequence(reader.u64()?);
        let above = reader.list(usize::MAX, 8, |reader| Ok(Sequence(reader.u64()?)))?;
        ascending(std::iter::once(&low).chain(&above))?;
        Ok((session, Window { low, above: above.into_iter().collect() }))
    })?;
    ascending(open.iter().map(|(session, _)| session))?;
    Ok(ClientSessions { open: open.into_iter().collect(), ended, active })
}

/// The members of a set come in order, each once.
fn ascending<T: Ord>(members: impl Iterator<Item = T>) -> Result<(), CodecError> {
    if members.is_sorted_by(|before, after| before < after) { Ok(()) } else { Err(CodecError::Order) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::id::{FrontendId, ReplicaId};

    fn id(session: u64, sequence: u64) -> RequestId {
        let client = Client::Frontend(FrontendId([1; 32]));
        RequestId { client, session: SessionId(session), sequence: Sequence(sequence) }
    }

    #[test]
    fn the_low_edge_waits_for_the_lowest_unordered_number() {
        let mut sessions = Sessions::new(4);
        assert!(sessions.order(id(1, 2), InstanceId(1)));
        assert!(sessions.order(id(1, 4), InstanceId(1)));
        assert_eq!(sessions.standing(id(1, 5)), Standing::Beyond, "1 is still unordered");
        assert_eq!(sessions.standing(id(1, 1)), Standing::Fresh);
        assert!(sessions.order(id(1, 1), InstanceId(2)));
        assert_eq!(sessions.standing(id(1, 2)), Standing::Ordered);
        assert_eq!(sessions.standing(id(1, 6)), Standing::Fresh);
        assert!(!sessions.order(id(1, 4), InstanceId(3)), "once only");
    }

    #[test]
    fn a_session_too_many_ends_the_oldest_for_ever() {
        let mut sessions = Sessions::new(4);
        for session in 1..=SESSIONS_MAX as u64 + 1 {
            assert!(sessions.order(id(session, 1), InstanceId(session)));
        }
        assert_eq!(sessions.standing(id(1, 2)), Standing::Ended);
        assert_eq!(sessions.standing(id(2, 2)), Standing::Fresh);
    }

    #[test]
    fn a_forgotten_client_cannot_replay() {
        let mut sessions = Sessions::new(4);
        let client = |n: u16| RequestId { client: Client::Replica(ReplicaId(n)), ..id(u64::from(n) + 1, 1) };
        for n in 0..=CLIENTS_MAX as u16 {
            assert!(sessions.order(client(n), InstanceId(u64::from(n) + 1)));
        }
        assert_eq!(sessions.standing(client(0)), Standing::Ended, "the silent one was forgotten");
        assert_eq!(sessions.standing(client(1)), Standing::Ordered);
    }

    #[test]
    fn the_state_survives_its_bytes() {
        let mut sessions = Sessions::new(100);
        for n in [1, 2, 5, 9] {
            sessions.order(id(3, n), InstanceId(n));
        }
        let copy = Sessions::decode(sessions.encode(), 100).unwrap();
        assert_eq!(copy, sessions);
        assert!(Sessions::decode(sessions.encode().slice(1..), 100).is_err());
    }

    #[test]
    fn a_set_that_is_not_in_order_is_refused() {
        let mut sessions = Sessions::new(100);
        let other = Client::Frontend(FrontendId([2; 32]));
        for n in [3, 5] {
            for session in [1, 2] {
                sessions.order(id(session, n), InstanceId(n));
                sessions.order(RequestId { client: other, ..id(session, n) }, InstanceId(n));
            }
        }
        let encoded = sessions.encode();
        // Floor and count; a client: its id, two numbers, a count; a window: session, low edge, a count, two numbers.
        let (client, window) = (33 + 20, 20 + 16);
        let first_client = 8 + 4;
        let first_window = first_client + client;
        let first_above = first_window + 20;
        assert_eq!(encoded.len(), first_client + 2 * (client + 2 * window));
        let sets = [(first_client, client + 2 * window), (first_window, window), (first_above, 8)];
        for (at, size) in sets {
            let (first, second) = (at..at + size, at + size..at + 2 * size);
            let mut swapped = encoded.to_vec();
            swapped[at..at + 2 * size].rotate_left(size);
            assert_eq!(Sessions::decode(swapped.into(), 100), Err(CodecError::Order), "swapped at {at}");
            let mut repeated = encoded.to_vec();
            repeated.copy_within(first, second.start);
            assert_eq!(Sessions::decode(repeated.into(), 100), Err(CodecError::Order), "repeated at {at}");
        }
        let mut below = encoded.to_vec();
        below[first_window + 15] = 3;
        assert_eq!(Sessions::decode(below.into(), 100), Err(CodecError::Order), "ordered, and not below the low edge");
    }
}
