//! Reads vectors: files, kinds, cases and their fields. What is wrong with a vector itself panics.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use rsa::pkcs8::DecodePrivateKey;
use rsa::{Pkcs1v15Sign, RsaPrivateKey};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use zotferry_protocol::identity::{PublicKey, SignError, Signer};
use zotferry_protocol::ids::{Digest, Millis, PacketId, ReplicaId};
use zotferry_protocol::refusal::Code;

/// What runs one case.
pub(crate) type Runner = fn(Case<'_>);
/// A file of vectors and the runner of each of its kinds.
pub(crate) type File = (&'static str, &'static [(&'static str, Runner)]);

/// `spec/vectors`.
pub(crate) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../spec/vectors")
}

/// All kinds of a file.
pub(crate) fn read(file: &str) -> Value {
    let path = folder().join(format!("{file}.json"));
    let text = std::fs::read_to_string(&path).expect("a file of vectors");
    serde_json::from_str(&text).expect("JSON")
}

/// Runs every case of some files; names all that fail.
pub(crate) fn run(files: &[File]) {
    let mut failed = Vec::new();
    for (file, runners) in files {
        let kinds = read(file);
        let kinds = kinds.as_object().expect("an object of kinds");
        let there: BTreeSet<&str> = kinds.keys().map(String::as_str).collect();
        let known: BTreeSet<&str> = runners.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(there, known, "{file}: each kind needs a runner");
        for (kind, runner) in *runners {
            let cases = kinds[*kind].as_array().expect("a list of cases");
            assert!(!cases.is_empty(), "{file}: {kind} is empty");
            for case in cases.iter().map(Case) {
                if catch_unwind(AssertUnwindSafe(|| runner(case))).is_err() {
                    failed.push(format!(
                        "{file}/{kind}: {} ({})",
                        case.text("name"),
                        case.text("requirement")
                    ));
                }
            }
        }
    }
    assert!(failed.is_empty(), "{} cases fail:\n{}", failed.len(), failed.join("\n"));
}

/// One case, or an object inside one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case<'a>(pub(crate) &'a Value);

impl<'a> Case<'a> {
    pub(crate) fn get(self, field: &str) -> Option<&'a Value> {
        self.0.get(field).filter(|value| !value.is_null())
    }

    pub(crate) fn child(self, field: &str) -> Self {
        Self(self.get(field).unwrap_or_else(|| panic!("no {field}")))
    }

    pub(crate) fn list(self, field: &str) -> impl Iterator<Item = Self> {
        self.child(field).0.as_array().expect("a list").iter().map(Self)
    }

    pub(crate) fn maybe_text(self, field: &str) -> Option<&'a str> {
        self.get(field).map(|value| value.as_str().expect("a text"))
    }

    pub(crate) fn text(self, field: &str) -> &'a str {
        self.maybe_text(field).unwrap_or_else(|| panic!("no {field}"))
    }

    pub(crate) fn flag(self, field: &str) -> bool {
        self.child(field).0.as_bool().expect("true or false")
    }

    pub(crate) fn u64(self, field: &str) -> u64 {
        self.child(field).0.as_u64().expect("a number")
    }

    pub(crate) fn u32(self, field: &str) -> u32 {
        u32::try_from(self.u64(field)).expect("32 bits")
    }

    /// Numbers of a list.
    pub(crate) fn numbers(self, field: &str) -> Vec<u64> {
        self.list(field).map(|n| n.0.as_u64().expect("a number")).collect()
    }

    /// Hexadecimal, followed by `then_zeros` zeros.
    pub(crate) fn bytes(self, field: &str) -> Vec<u8> {
        let mut bytes = hex::decode(self.text(field)).expect("hexadecimal");
        if let Some(zeros) = self.get("then_zeros") {
            bytes.resize(bytes.len() + zeros.as_u64().expect("a number") as usize, 0);
        }
        bytes
    }

    pub(crate) fn digest(self, field: &str) -> Digest {
        self.text(field).parse().expect("a digest")
    }

    pub(crate) fn digests(self, field: &str) -> Vec<Digest> {
        let texts = self.list(field).map(|d| d.0.as_str().expect("a text"));
        texts.map(|d| d.parse().expect("a digest")).collect()
    }

    pub(crate) fn packet_id(self, field: &str) -> PacketId {
        self.text(field).parse().expect("a packet id")
    }

    pub(crate) fn replica(self, field: &str) -> ReplicaId {
        self.text(field).parse().expect("a replica id")
    }

    pub(crate) fn now(self) -> Millis {
        Millis(self.u64("now"))
    }

    pub(crate) fn public_key(self, field: &str) -> PublicKey {
        PublicKey::from_pem(self.text(field)).expect("a good key")
    }

    /// The code that the case is to be refused with, by word and number; `None` when it is good.
    pub(crate) fn code(self) -> Option<Code> {
        let word = self.maybe_text("code")?;
        let code = Code::from_number(u16::try_from(self.u64("number")).expect("16 bits"));
        let code = code.expect("a known code");
        assert_eq!(code.word(), word);
        Some(code)
    }
}

/// A published test key.
pub(crate) struct TestKey(RsaPrivateKey);

impl TestKey {
    pub(crate) fn read(name: &str) -> Self {
        let path = folder().join(format!("keys/test-only-{name}.pem"));
        let pem = std::fs::read_to_string(path).expect("a key file");
        Self(RsaPrivateKey::from_pkcs8_pem(&pem).expect("a private key"))
    }

    pub(crate) fn public(&self) -> PublicKey {
        use rsa::pkcs8::{EncodePublicKey, LineEnding};
        let pem = self.0.to_public_key().to_public_key_pem(LineEnding::LF).expect("a PEM");
        PublicKey::from_pem(&pem).expect("a good key")
    }
}

impl Signer for TestKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let digest = Sha256::digest(message);
        let scheme = Pkcs1v15Sign::new::<Sha256>();
        self.0.sign(scheme, &digest).map_err(|e| SignError(e.to_string()))
    }
}
