//! What the X.509 extensions of a certificate say, reduced to what chain building and MSP rules ask.
//!
//! Follows Go's reading: an extension that Go knows and cannot parse makes the certificate malformed; a *critical*
//! extension that Go does not evaluate makes every chain through the certificate invalid. Contract §7.4 step 3.

use std::collections::BTreeSet;

use bytes::Bytes;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, GeneralSubtree, ParsedExtension, X509Extension};

use crate::certificate::{CertificateError, malformed};

/// The extensions of one certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Extensions {
    pub(crate) has_basic_constraints: bool,
    pub(crate) is_ca: bool,
    pub(crate) path_length_max: Option<u32>,
    /// False only if a key usage extension is present and lacks `keyCertSign`.
    pub(crate) may_sign_certificates: bool,
    pub(crate) subject_key_id: Option<Bytes>,
    pub(crate) authority_key_id: Option<Bytes>,
    /// False only if an extended key usage extension is present and names neither server authentication nor any.
    pub(crate) may_authenticate_servers: bool,
    /// False only if an extended key usage extension is present and names neither client authentication nor any.
    pub(crate) may_authenticate_clients: bool,
    /// The subject alternative name extension, absent or present.
    pub(crate) alternative_names: Option<AlternativeNames>,
    pub(crate) name_constraints: Option<NameConstraints>,
    /// A critical extension, or a policy constraint, that is not evaluated here.
    pub(crate) has_unhandled_critical: bool,
}

/// The subject alternative names of a certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct AlternativeNames {
    /// The raw extension value: two certificates with equal subject, key and names count as one in a chain.
    pub(crate) raw: Bytes,
    pub(crate) dns: Vec<String>,
    pub(crate) has_email: bool,
    pub(crate) has_address: bool,
    pub(crate) has_uri: bool,
}

/// The name constraints of a certificate authority. Only those on DNS names are evaluated; a chain whose
/// certificates carry names of another constrained kind is refused, which is stricter than Go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NameConstraints {
    pub(crate) permitted_dns: Vec<String>,
    pub(crate) excluded_dns: Vec<String>,
    pub(crate) constrains_email: bool,
    pub(crate) constrains_address: bool,
    pub(crate) constrains_uri: bool,
    constrains_other: bool,
}

impl Extensions {
    /// Reads all extensions of a parsed certificate.
    pub(crate) fn read(certificate: &X509Certificate<'_>) -> Result<Self, CertificateError> {
        let mut extensions = Self {
            has_basic_constraints: false,
            is_ca: false,
            path_length_max: None,
            may_sign_certificates: true,
            subject_key_id: None,
            authority_key_id: None,
            may_authenticate_servers: true,
            may_authenticate_clients: true,
            alternative_names: None,
            name_constraints: None,
            has_unhandled_critical: false,
        };
        let mut seen = BTreeSet::new();
        for extension in certificate.extensions() {
            if !seen.insert(extension.oid.to_id_string()) {
                return Err(malformed("an extension is repeated"));
            }
            let is_handled = extensions.read_one(extension)?;
            if extension.critical && !is_handled {
                extensions.has_unhandled_critical = true;
            }
        }
        Ok(extensions)
    }

    /// Takes over one extension. True if its meaning is evaluated, or known not to matter.
    fn read_one(&mut self, extension: &X509Extension<'_>) -> Result<bool, CertificateError> {
        match extension.parsed_extension() {
            ParsedExtension::BasicConstraints(constraints) => {
                self.has_basic_constraints = true;
                self.is_ca = constraints.ca;
                self.path_length_max = constraints.path_len_constraint;
            }
            ParsedExtension::KeyUsage(usage) => {
                self.may_sign_certificates = usage.flags == 0 || usage.key_cert_sign();
            }
            ParsedExtension::ExtendedKeyUsage(usage) => {
                self.may_authenticate_servers = usage.any || usage.server_auth;
                self.may_authenticate_clients = usage.any || usage.client_auth;
            }
            ParsedExtension::SubjectKeyIdentifier(identifier) => {
                if extension.critical {
                    return Err(malformed("critical subject key identifier"));
                }
                self.subject_key_id = Some(Bytes::copy_from_slice(identifier.0));
            }
            ParsedExtension::AuthorityKeyIdentifier(identifier) => {
                self.authority_key_id = identifier.key_identifier.as_ref().map(|id| Bytes::copy_from_slice(id.0));
            }
            ParsedExtension::SubjectAlternativeName(names) => {
                let names = AlternativeNames::read(extension.value, &names.general_names)?;
                let is_handled = !names.is_empty();
                self.alternative_names = Some(names);
                return Ok(is_handled);
            }
            ParsedExtension::NameConstraints(constraints) => {
                let constraints = NameConstraints::read(
                    constraints.permitted_subtrees.as_deref(),
                    constraints.excluded_subtrees.as_deref(),
                )?;
                let is_handled = !constraints.constrains_other;
                self.name_constraints = Some(constraints);
                return Ok(is_handled);
            }
            // Policies are only looked at when a certificate demands an explicit one; nobody does, so demanding is
            // refused.
            ParsedExtension::PolicyConstraints(constraints) => {
                if constraints.require_explicit_policy.is_some() {
                    self.has_unhandled_critical = true;
                }
            }
            ParsedExtension::CertificatePolicies(_)
            | ParsedExtension::PolicyMappings(_)
            | ParsedExtension::InhibitAnyPolicy(_)
            | ParsedExtension::CRLDistributionPoints(_) => {}
            ParsedExtension::AuthorityInfoAccess(_) => {
                if extension.critical {
                    return Err(malformed("critical authority information access"));
                }
            }
            ParsedExtension::ParseError { .. } if is_known_to_go(extension) => {
                return Err(malformed(&format!("extension {}", extension.oid)));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl AlternativeNames {
    fn read(raw: &[u8], names: &[GeneralName<'_>]) -> Result<Self, CertificateError> {
        let mut read = Self { raw: Bytes::copy_from_slice(raw), ..Self::default() };
        for name in names {
            match name {
                GeneralName::DNSName(dns) => read.dns.push((*dns).to_owned()),
                GeneralName::RFC822Name(_) => read.has_email = true,
                GeneralName::IPAddress(_) => read.has_address = true,
                GeneralName::URI(_) => read.has_uri = true,
                GeneralName::Invalid(..) => return Err(malformed("subject alternative name")),
                _ => {}
            }
        }
        Ok(read)
    }

    fn is_empty(&self) -> bool {
        self.dns.is_empty() && !self.has_email && !self.has_address && !self.has_uri
    }
}

impl NameConstraints {
    fn read(
        permitted: Option<&[GeneralSubtree<'_>]>,
        excluded: Option<&[GeneralSubtree<'_>]>,
    ) -> Result<Self, CertificateError> {
        let mut read = Self::default();
        for subtree in permitted.unwrap_or_default() {
            if let Some(dns) = read.note(&subtree.base)? {
                read.permitted_dns.push(dns);
            }
        }
        for subtree in excluded.unwrap_or_default() {
            if let Some(dns) = read.note(&subtree.base)? {
                read.excluded_dns.push(dns);
            }
        }
        Ok(read)
    }

    /// Notes the kind of a constraint; returns it if it is one on DNS names.
    fn note(&mut self, base: &GeneralName<'_>) -> Result<Option<String>, CertificateError> {
        match base {
            GeneralName::DNSName(dns) => return Ok(Some(dns.to_ascii_lowercase())),
            GeneralName::RFC822Name(_) => self.constrains_email = true,
            GeneralName::IPAddress(_) => self.constrains_address = true,
            GeneralName::URI(_) => self.constrains_uri = true,
            GeneralName::Invalid(..) => return Err(malformed("name constraint")),
            _ => self.constrains_other = true,
        }
        Ok(None)
    }

    /// True if these constraints allow a certificate with such names.
    pub(crate) fn allow(&self, names: &AlternativeNames) -> bool {
        let is_unevaluated = self.constrains_email && names.has_email
            || self.constrains_address && names.has_address
            || self.constrains_uri && names.has_uri;
        !is_unevaluated && names.dns.iter().all(|name| self.allow_dns(name))
    }

    fn allow_dns(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let is_permitted =
            self.permitted_dns.is_empty() || self.permitted_dns.iter().any(|base| is_within(&name, base));
        is_permitted && !self.excluded_dns.iter().any(|base| is_within(&name, base))
    }
}

/// True if `name` is `base` or one of its subdomains; a base with a leading dot needs at least one more label.
fn is_within(name: &str, base: &str) -> bool {
    if base.is_empty() {
        return true;
    }
    if let Some(parent) = base.strip_prefix('.') {
        return name.strip_suffix(parent).is_some_and(|prefix| prefix.len() > 1 && prefix.ends_with('.'));
    }
    name.strip_suffix(base).is_some_and(|prefix| prefix.is_empty() || prefix.ends_with('.'))
}

/// The extensions whose content Go parses, so that a parse error is an error of the certificate.
fn is_known_to_go(extension: &X509Extension<'_>) -> bool {
    const PARSED_BY_GO: [&str; 13] = [
        "2.5.29.14",
        "2.5.29.15",
        "2.5.29.17",
        "2.5.29.19",
        "2.5.29.30",
        "2.5.29.31",
        "2.5.29.32",
        "2.5.29.33",
        "2.5.29.35",
        "2.5.29.36",
        "2.5.29.37",
        "2.5.29.54",
        "1.3.6.1.5.5.7.1.1",
    ];
    PARSED_BY_GO.contains(&extension.oid.to_id_string().as_str())
}

#[cfg(test)]
mod tests {
    use super::is_within;

    #[test]
    fn dns_constraints_cover_the_name_and_its_subdomains() {
        assert!(is_within("a.example.com", "example.com"));
        assert!(is_within("example.com", "example.com"));
        assert!(!is_within("badexample.com", "example.com"));
        assert!(!is_within("example.com", ".example.com"));
        assert!(is_within("a.example.com", ".example.com"));
        assert!(is_within("anything", ""));
    }
}
