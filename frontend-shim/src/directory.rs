//! How the members of an ordering group are reached, and by which TLS keys they are known: now.
//!
//! The channels of a group say it, each in its configuration in force, and configurations change while nodes and
//! frontends run. So nobody keeps an address or a key: whoever dials, or judges who has dialled, looks here. Links that
//! stand are left alone. Channels may differ for a while, or for good: what any of them says holds, and a dialler tries it
//! in the order of their names.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use fabric_channel::{Certificate, ChannelConfig, Consenter};
use mod_smart::ReplicaId;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::group::OrderingGroup;
use crate::tls::{self, ServerTrust, Spki, TlsError};
use crate::tls_identity::TlsIdentity;

/// How one channel configuration says that a member is reached and known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// `host:port` to dial.
    pub address: String,
    /// The public key of the certificate that it shows when it is dialled.
    pub server_key: Spki,
    /// The public key of the certificate that it shows when it dials.
    pub client_key: Spki,
}

/// The contacts of each member, in replica order; equal ones once.
pub type Contacts = Vec<Vec<Contact>>;

/// Says how the members of a group are reached now.
pub struct Directory {
    look: Box<dyn Fn() -> Arc<Contacts> + Send + Sync>,
    rewritten: Arc<BTreeMap<String, String>>,
}

/// No contact of a member led to it: each address with what went wrong there.
#[derive(Debug, thiserror::Error)]
#[error("{}", reasons(.0))]
pub struct DialError(pub Vec<(String, TlsError)>);

impl Directory {
    /// Asks `look` whenever somebody wants to know.
    #[must_use]
    pub fn new(look: impl Fn() -> Arc<Contacts> + Send + Sync + 'static) -> Self {
        Self { look: Box::new(look), rewritten: Arc::default() }
    }

    /// These contacts for ever.
    #[must_use]
    pub fn fixed(contacts: Contacts) -> Self {
        let contacts = Arc::new(contacts);
        Self::new(move || Arc::clone(&contacts))
    }

    /// What one configuration of the group says, for ever.
    #[must_use]
    pub fn of_group(group: &OrderingGroup) -> Self {
        Self::fixed(contacts_of([group.consenters()], &BTreeMap::new()))
    }

    /// What the configurations say that `in_force` gives, in that order; those of other groups say nothing. While there is
    /// none, the last answer holds; at first that is what `group` says. In the place of an address that `rewritten` has as
    /// a key, its value is dialled.
    #[must_use]
    pub fn following(
        group: &OrderingGroup,
        rewritten: BTreeMap<String, String>,
        in_force: impl Fn() -> Vec<Arc<ChannelConfig>> + Send + Sync + 'static,
    ) -> Self {
        let (group, rewritten) = (group.clone(), Arc::new(rewritten));
        let contacts = Arc::new(contacts_of([group.consenters()], &rewritten));
        let known = Mutex::new(Known { configs: Vec::new(), contacts });
        let to_rewrite = Arc::clone(&rewritten);
        let look = move || {
            let configs = in_force();
            let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
            known.update(configs, &group, &to_rewrite);
            Arc::clone(&known.contacts)
        };
        Self { rewritten, ..Self::new(look) }
    }

    /// How a consenter is reached and known of whom a configuration speaks that is not in force yet.
    pub(crate) fn contact_to_come(&self, consenter: &Consenter) -> Contact {
        Contact::of(consenter, &self.rewritten)
    }

    /// How this member is reached and known; empty if the group has no such member.
    #[must_use]
    pub fn contacts(&self, member: ReplicaId) -> Vec<Contact> {
        (self.look)().get(member.index()).cloned().unwrap_or_default()
    }

    /// The addresses of a member, for people.
    #[must_use]
    pub fn addresses(&self, member: ReplicaId) -> String {
        let mut addresses: Vec<_> = self.contacts(member).into_iter().map(|contact| contact.address).collect();
        addresses.dedup();
        addresses.join(" or ")
    }

    /// Is this a key that the member shows when it dials?
    #[must_use]
    pub fn is_client_key(&self, member: ReplicaId, key: &Spki) -> bool {
        let contacts = (self.look)();
        contacts.get(member.index()).is_some_and(|known| known.iter().any(|contact| contact.client_key == *key))
    }

    /// Connects to a member for one protocol, showing `identity`, and makes sure that it is the member: the first of its
    /// contacts that leads to it.
    ///
    /// # Errors
    /// None of them does.
    pub async fn dial(
        &self,
        member: ReplicaId,
        identity: &TlsIdentity,
        protocol: &[u8],
    ) -> Result<TlsStream<TcpStream>, DialError> {
        let mut failed = Vec::new();
        for contact in self.contacts(member) {
            match contact.dial(identity, protocol).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failed.push((contact.address, error)),
            }
        }
        Err(DialError(failed))
    }
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Directory").field(&(self.look)()).finish()
    }
}

impl Contact {
    pub(crate) async fn dial(&self, identity: &TlsIdentity, protocol: &[u8]) -> Result<TlsStream<TcpStream>, TlsError> {
        let trust = ServerTrust::Pinned(self.server_key.clone());
        tls::dial(&self.address, tls::client_config(Some(identity), protocol, trust)?).await
    }

    fn of(consenter: &Consenter, rewritten: &BTreeMap<String, String>) -> Self {
        let key = |certificate: &Certificate| Spki::from_der(certificate.spki_der().clone());
        let written = consenter.address();
        Self {
            address: rewritten.get(&written).cloned().unwrap_or(written),
            server_key: key(&consenter.server_tls_cert),
            client_key: key(&consenter.client_tls_cert),
        }
    }
}

/// The last answer, and what it was made of.
struct Known {
    configs: Vec<Arc<ChannelConfig>>,
    contacts: Arc<Contacts>,
}

impl Known {
    /// Strangers can make us look as often as they dial, so equal configurations are not read twice.
    fn update(
        &mut self,
        configs: Vec<Arc<ChannelConfig>>,
        group: &OrderingGroup,
        rewritten: &BTreeMap<String, String>,
    ) {
        let is_same = |(left, right): (&Arc<ChannelConfig>, &Arc<ChannelConfig>)| Arc::ptr_eq(left, right);
        if configs.len() == self.configs.len() && configs.iter().zip(&self.configs).all(is_same) {
            return;
        }
        let of_group: Vec<_> = configs.iter().filter(|config| group.is_of(config)).map(|it| it.consenters()).collect();
        if !of_group.is_empty() {
            self.contacts = Arc::new(contacts_of(of_group, rewritten));
        }
        self.configs = configs;
    }
}

/// The consenters of one group as different channels write them.
fn contacts_of<'a>(
    channels: impl IntoIterator<Item = &'a [Consenter]>,
    rewritten: &BTreeMap<String, String>,
) -> Contacts {
    let mut contacts = Contacts::new();
    for consenters in channels {
        contacts.resize_with(consenters.len(), Vec::new);
        for (known, consenter) in contacts.iter_mut().zip(consenters) {
            let contact = Contact::of(consenter, rewritten);
            if !known.contains(&contact) {
                known.push(contact);
            }
        }
    }
    contacts
}

fn reasons(failed: &[(String, TlsError)]) -> String {
    if failed.is_empty() {
        return "no channel configuration says how it is reached".to_owned();
    }
    let reasons: Vec<_> = failed.iter().map(|(address, error)| format!("{address}: {error}")).collect();
    reasons.join("; ")
}
