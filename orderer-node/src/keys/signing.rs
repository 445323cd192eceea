//! Signing as Fabric signs (contract 7.5). The code is the frontend's, which signs the CONFIG envelopes that it wraps.

pub use frontend_shim::signing::{SigningIdentity, SigningKey, SigningKeyError};

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use fabric_channel::Certificate;
    use p256::ecdsa::signature::Verifier as _;
    use p256::ecdsa::{Signature, VerifyingKey};
    use p256::pkcs8::DecodePublicKey as _;

    use super::*;

    const TLS_KEY: &[u8] = include_bytes!("../../tests/data/tls/server.key");
    const TLS_CERTIFICATE: &[u8] = include_bytes!("../../tests/data/tls/server.crt");

    #[test]
    fn two_hundred_signatures_are_low_s_and_verify_with_another_library() {
        let key = SigningKey::from_pem(TLS_KEY).unwrap();
        let other = VerifyingKey::from_public_key_der(key.spki_der()).unwrap();
        for number in 0..200_u32 {
            let message = number.to_be_bytes();
            let der = key.sign(&message);
            let signature = Signature::from_der(&der).unwrap();
            assert_eq!(signature.normalize_s(), signature, "high s");
            other.verify(&message, &signature).unwrap();
            assert!(other.verify(b"another", &signature).is_err());
        }
    }

    #[test]
    fn a_key_knows_its_certificate() {
        let key = SigningKey::from_pem(TLS_KEY).unwrap();
        let certificate = Certificate::from_pem(TLS_CERTIFICATE).unwrap();
        assert!(key.is_key_of(&certificate));
        let stranger = rcgen::KeyPair::generate().unwrap();
        assert!(!SigningKey::from_pem(stranger.serialize_pem().as_bytes()).unwrap().is_key_of(&certificate));
    }

    #[test]
    fn sec1_keys_load_and_other_kinds_are_refused() {
        let secret = p256::SecretKey::from_slice(&[7; 32]).unwrap();
        let sec1 = secret.to_sec1_pem(p256::pkcs8::LineEnding::LF).unwrap();
        let with_parameters =
            format!("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n{}", *sec1);
        SigningKey::from_pem(with_parameters.as_bytes()).unwrap();
        let p384 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        assert!(matches!(SigningKey::from_pem(p384.serialize_pem().as_bytes()), Err(SigningKeyError::Kind)));
        assert!(matches!(SigningKey::from_pem(TLS_CERTIFICATE), Err(SigningKeyError::NotPem)));
    }
}
