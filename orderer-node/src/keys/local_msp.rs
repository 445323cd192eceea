//! The local MSP folder (contract 7.2). The code is the frontend's, which needs an identity to sign CONFIG envelopes.

pub use frontend_shim::local_msp::{KeyError, LocalMsp};

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use fabric_proto::msp::SerializedIdentity;
    use p256::pkcs8::DecodePrivateKey as _;
    use prost::Message as _;

    use super::*;

    fn sample() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/msp")
    }

    /// A copy of the sample to spoil.
    fn copy() -> tempfile::TempDir {
        let copy = tempfile::tempdir().unwrap();
        for folder in ["signcerts", "keystore", "cacerts"] {
            fs::create_dir(copy.path().join(folder)).unwrap();
            for file in fs::read_dir(sample().join(folder)).unwrap() {
                let file = file.unwrap();
                fs::copy(file.path(), copy.path().join(folder).join(file.file_name())).unwrap();
            }
        }
        copy
    }

    fn refusal(dir: &Path) -> String {
        LocalMsp::load(dir, "OrdererMSP").unwrap_err().to_string()
    }

    #[test]
    fn what_cryptogen_made_loads_and_signs() {
        let msp = LocalMsp::load(&sample(), "OrdererMSP").unwrap();
        let identity = msp.identity();
        let serialised = SerializedIdentity::decode(identity.serialised().clone()).unwrap();
        let pem = fs::read(sample().join("signcerts/o1.orderer.example.com-cert.pem")).unwrap();
        assert_eq!((serialised.mspid.as_str(), &serialised.id_bytes[..]), ("OrdererMSP", &pem[..]));
        let signature = identity.sign(b"header");
        identity.certificate().public_key().verify(b"header", &signature).unwrap();
        assert!(identity.certificate().public_key().verify(b"another", &signature).is_err());
    }

    #[test]
    fn the_key_is_found_among_others_whatever_its_name() {
        let copy = copy();
        let keystore = copy.path().join("keystore");
        fs::rename(keystore.join("priv_sk"), keystore.join("zz.txt")).unwrap();
        fs::write(keystore.join("aa"), rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
        fs::write(keystore.join("bb"), "not a key").unwrap();
        fs::create_dir(keystore.join("cc")).unwrap();
        fs::write(keystore.join("dd"), no_key()).unwrap();
        LocalMsp::load(copy.path(), "OrdererMSP").unwrap();
    }

    /// PEM that says it is a private key and is none.
    fn no_key() -> String {
        let certificate = fs::read_to_string(sample().join("cacerts/ca.orderer.example.com-cert.pem")).unwrap();
        certificate.replace("CERTIFICATE", "PRIVATE KEY")
    }

    #[test]
    fn a_key_of_another_certificate_is_a_mismatch() {
        let copy = copy();
        fs::write(copy.path().join("keystore/priv_sk"), rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
        let error = refusal(copy.path());
        assert!(error.starts_with("certificate and key do not match: none of the 1 private keys in "), "{error}");
    }

    #[test]
    fn what_is_missing_is_named() {
        for (file, expected) in [
            ("keystore/priv_sk", "keystore: no ECDSA P-256 private key in PEM in this folder"),
            ("signcerts/o1.orderer.example.com-cert.pem", "signcerts: no certificate in PEM in this folder"),
            ("cacerts/ca.orderer.example.com-cert.pem", "cacerts: no certificate in PEM in this folder"),
        ] {
            let copy = copy();
            fs::remove_file(copy.path().join(file)).unwrap();
            let error = refusal(copy.path());
            assert!(error.contains(expected), "{error}");
            fs::remove_dir(copy.path().join(file).parent().unwrap()).unwrap();
            let error = refusal(copy.path());
            assert!(error.contains("cannot read ") && error.contains(file.split('/').next().unwrap()), "{error}");
        }
    }

    #[test]
    fn a_certificate_of_a_foreign_authority_is_refused() {
        let copy = copy();
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let foreign = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        fs::write(copy.path().join("cacerts/ca.orderer.example.com-cert.pem"), foreign.pem()).unwrap();
        let error = refusal(copy.path());
        assert!(error.contains("o1.orderer.example.com-cert.pem"), "{error}");
    }

    #[test]
    fn the_keystore_may_be_elsewhere() {
        let copy = copy();
        let elsewhere = tempfile::tempdir().unwrap();
        fs::rename(copy.path().join("keystore/priv_sk"), elsewhere.path().join("key.pem")).unwrap();
        assert!(LocalMsp::load(copy.path(), "OrdererMSP").is_err());
        LocalMsp::load_with_keystore(copy.path(), elsewhere.path(), "OrdererMSP").unwrap();
    }

    #[test]
    fn keys_are_read_in_pkcs_8_and_in_sec_1_with_and_without_parameters() {
        let copy = copy();
        let file = copy.path().join("keystore/priv_sk");
        let pkcs8 = fs::read_to_string(&file).unwrap();
        let key = p256::SecretKey::from_pkcs8_pem(&pkcs8).unwrap();
        let sec1 = key.to_sec1_pem(p256::pkcs8::LineEnding::LF).unwrap();
        let parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
        for text in [pkcs8, sec1.to_string(), format!("{parameters}{}", *sec1)] {
            fs::write(&file, text).unwrap();
            LocalMsp::load(copy.path(), "OrdererMSP").unwrap();
        }
    }

    #[test]
    fn folders_as_kubernetes_mounts_them_and_the_roles_of_config_yaml_are_tolerated() {
        let copy = copy();
        let signcerts = copy.path().join("signcerts");
        let version = signcerts.join("..2026_01_01_00_00_00");
        fs::create_dir(&version).unwrap();
        fs::rename(signcerts.join("o1.orderer.example.com-cert.pem"), version.join("cert.pem")).unwrap();
        std::os::unix::fs::symlink("..2026_01_01_00_00_00", signcerts.join("..data")).unwrap();
        std::os::unix::fs::symlink("..data/cert.pem", signcerts.join("cert.pem")).unwrap();
        fs::write(signcerts.join("a-note.txt"), "the certificate is beside this note").unwrap();
        fs::write(copy.path().join("config.yaml"), "NodeOUs:\n  Enable: true\n").unwrap();
        fs::create_dir(copy.path().join("admincerts")).unwrap();
        fs::create_dir(copy.path().join("crls")).unwrap();
        LocalMsp::load(copy.path(), "OrdererMSP").unwrap();
    }

    #[test]
    fn of_several_certificates_the_first_by_name_is_taken() {
        let copy = copy();
        let signcerts = copy.path().join("signcerts");
        fs::copy(copy.path().join("cacerts/ca.orderer.example.com-cert.pem"), signcerts.join("zz.pem")).unwrap();
        LocalMsp::load(copy.path(), "OrdererMSP").unwrap();
        fs::rename(signcerts.join("zz.pem"), signcerts.join("aa.pem")).unwrap();
        let error = refusal(copy.path());
        assert!(error.contains("aa.pem") || error.contains("do not match"), "{error}");
    }

    #[test]
    fn an_expired_certificate_is_taken_and_known_to_have_expired() {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["signcerts", "keystore", "cacerts"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        let mut authority = rcgen::CertificateParams::default();
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        authority.not_before = rcgen::date_time_ymd(2000, 1, 1);
        let authority_key = rcgen::KeyPair::generate().unwrap();
        fs::write(dir.path().join("cacerts/ca.pem"), authority.self_signed(&authority_key).unwrap().pem()).unwrap();
        let issuer = rcgen::Issuer::new(authority, authority_key);
        let key = rcgen::KeyPair::generate().unwrap();
        fs::write(dir.path().join("keystore/key"), key.serialize_pem()).unwrap();
        for (year, is_good) in [(2100, true), (2020, false)] {
            let mut leaf = rcgen::CertificateParams::default();
            leaf.not_before = rcgen::date_time_ymd(2010, 1, 1);
            leaf.not_after = rcgen::date_time_ymd(year, 1, 1);
            fs::write(dir.path().join("signcerts/cert.pem"), leaf.signed_by(&key, &issuer).unwrap().pem()).unwrap();
            let loaded = LocalMsp::load(dir.path(), "OrdererMSP").unwrap();
            assert_eq!(loaded.has_expired(), !is_good);
        }
    }
}
