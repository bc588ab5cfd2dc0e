//! The same signatures and keys as OpenSSH's own program makes and takes.

use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
};

use orders::{Grant, Key, KeyError, Keyring};
use tempfile::TempDir;

use crate::given::{ann, grant, now};

/// A folder of a test, where ssh-keygen works.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().expect("a folder"))
    }

    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, content).expect("a file is written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("mode 0600");
        path
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.path().join(name)).expect("a file is read")
    }

    /// Runs ssh-keygen in this folder with these words as arguments.
    pub(crate) fn ssh_keygen(&self, args: &[&str], stdin: &[u8]) -> Output {
        let mut child = Command::new("ssh-keygen")
            .args(args)
            .current_dir(self.0.path())
            .env_remove("SSH_AUTH_SOCK")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("ssh-keygen starts; it is in Debian's package openssh-client");
        let mut input = child.stdin.take().expect("its input");
        // It may end before it has read everything.
        let _broken_pipe = input.write_all(stdin);
        drop(input);
        child.wait_with_output().expect("it ends")
    }
}

pub(crate) fn text(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&both).into_owned()
}

#[test]
fn ssh_keygen_verifies_what_is_signed_here() {
    let folder = Folder::new();
    let signed = orders::sign(&grant(), &ann()).expect("signed");
    let line = ann().allowed_signer("ann@example.org", &["grant@deploykit"]);
    folder.file("allowed", line + "\n");
    folder.file("grant.sig", orders::armored(&signed.signatures[0]));
    let bytes = orders::to_be_signed::<Grant>(&signed).expect("bytes");
    let verify = |namespace: &str, bytes: &[u8]| {
        let args = [
            "-Y",
            "verify",
            "-f",
            "allowed",
            "-I",
            "ann@example.org",
            "-n",
            namespace,
            "-s",
            "grant.sig",
        ];
        folder.ssh_keygen(&args, bytes)
    };

    let output = verify("grant@deploykit", &bytes);
    assert!(output.status.success(), "{}", text(&output));
    assert!(
        text(&output).contains(&ann().fingerprint()),
        "{}",
        text(&output)
    );

    assert!(!verify("order@deploykit", &bytes).status.success());
    assert!(
        !verify("grant@deploykit", &[&bytes[..], b" "].concat())
            .status
            .success()
    );
}

#[test]
fn what_ssh_keygen_signs_is_verified_here() {
    let folder = Folder::new();
    let args = ["-q", "-t", "ed25519", "-N", "", "-C", "cy", "-f", "cy"];
    let made = folder.ssh_keygen(&args, b"");
    assert!(made.status.success(), "{}", text(&made));
    let mut signed = orders::unsigned(&grant()).expect("an envelope");
    folder.file(
        "grant",
        orders::to_be_signed::<Grant>(&signed).expect("bytes"),
    );
    let args = ["-Y", "sign", "-f", "cy", "-n", "grant@deploykit", "grant"];
    let output = folder.ssh_keygen(&args, b"");
    assert!(output.status.success(), "{}", text(&output));
    let printed = folder.read("grant.sig");
    orders::add_armored(&mut signed, &printed).expect("a signature");

    assert_eq!(
        orders::armored(&signed.signatures[0]),
        printed,
        "the armor is the same"
    );
    let keyring = Keyring::parse(&format!("cy {}", folder.read("cy.pub"))).expect("a keyring");
    let verified = keyring.verify::<Grant>(&signed, now()).expect("verified");
    assert_eq!(verified.signers, ["cy"]);

    let key = Key::parse(&folder.read("cy")).expect("its key file is read here");
    assert_eq!(key.public_line(), folder.read("cy.pub").trim_end());
}

#[test]
fn ssh_keygen_reads_the_key_file_that_is_written_here() {
    let folder = Folder::new();
    folder.file("ann", ann().to_openssh());
    let output = folder.ssh_keygen(&["-y", "-f", "ann"], b"");
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(text(&output).trim_end(), ann().public_line());
}

#[test]
fn a_key_with_a_passphrase_is_refused_with_what_to_do() {
    let folder = Folder::new();
    let args = ["-q", "-t", "ed25519", "-N", "a passphrase", "-f", "key"];
    assert!(folder.ssh_keygen(&args, b"").status.success());
    let error = Key::parse(&folder.read("key")).expect_err("it is encrypted");
    assert!(matches!(error, KeyError::Encrypted), "{error:?}");
    assert!(error.to_string().contains("ssh-keygen -Y sign"), "{error}");
}

#[test]
fn a_key_of_another_type_is_refused_with_what_to_do() {
    let folder = Folder::new();
    for (kind, passphrase) in [("rsa", ""), ("ecdsa", ""), ("ecdsa", "a passphrase")] {
        let name = format!("{kind}{}", passphrase.len());
        let args = ["-q", "-t", kind, "-N", passphrase, "-f", &name];
        assert!(folder.ssh_keygen(&args, b"").status.success());
        let error = Key::parse(&folder.read(&name)).expect_err("not ed25519");
        assert!(error.to_string().contains("ed25519"), "{kind}: {error}");
    }
}

#[test]
fn a_signature_of_another_key_type_is_named_and_does_not_count() {
    let folder = Folder::new();
    let args = ["-q", "-t", "rsa", "-N", "", "-f", "key"];
    assert!(folder.ssh_keygen(&args, b"").status.success());
    let mut signed = orders::unsigned(&grant()).expect("an envelope");
    folder.file(
        "grant",
        orders::to_be_signed::<Grant>(&signed).expect("bytes"),
    );
    let args = ["-Y", "sign", "-f", "key", "-n", "grant@deploykit", "grant"];
    assert!(folder.ssh_keygen(&args, b"").status.success());
    orders::add_armored(&mut signed, &folder.read("grant.sig")).expect("a signature");

    let keyring = Keyring::parse(&format!("cy {}", folder.read("key.pub"))).expect("a keyring");
    assert_eq!(keyring.notes().len(), 1, "{:?}", keyring.notes());
    let error = keyring
        .verify::<Grant>(&signed, now())
        .expect_err("rsa does not count");
    assert!(error.to_string().contains("ssh-rsa"), "{error}");
}

/// An ssh-agent of this test, ended with it.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ended_already = self.0.kill();
        let _status = self.0.wait();
    }
}

/// The private key is in the agent only; neither ssh-keygen nor this program reads its file.
#[test]
fn what_an_ssh_agent_signs_is_verified_here_and_a_key_made_here_is_taken_by_it() {
    let folder = Folder::new();
    let socket = folder.0.path().join("agent");
    let args = ["-D", "-a", &socket.display().to_string()];
    let mut command = Command::new("ssh-agent");
    command
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let agent = Agent(command.spawn().expect("ssh-agent is in openssh-client"));
    folder.file("ann", ann().to_openssh());
    folder.file("ann.pub", ann().public_line() + "\n");
    let with_agent = |program: &str, args: &[&str]| {
        let mut command = Command::new(program);
        command.args(args).current_dir(folder.0.path());
        command.env("SSH_AUTH_SOCK", &socket);
        command.output().expect("it is in openssh-client")
    };
    let added = (0..200).any(|_| {
        // waits for the agent to listen: ssh-add fails until then, at most 10 s
        std::thread::sleep(std::time::Duration::from_millis(50));
        with_agent("ssh-add", &["-q", "ann"]).status.success()
    });
    assert!(added, "ssh-add adds the key");
    fs::remove_file(folder.0.path().join("ann")).expect("removed");

    let mut signed = orders::unsigned(&grant()).expect("an envelope");
    let bytes = orders::to_be_signed::<Grant>(&signed).expect("bytes");
    folder.file("grant", bytes);
    let args = [
        "-Y",
        "sign",
        "-f",
        "ann.pub",
        "-n",
        "grant@deploykit",
        "grant",
    ];
    let output = with_agent("ssh-keygen", &args);
    assert!(output.status.success(), "{}", text(&output));
    orders::add_armored(&mut signed, &folder.read("grant.sig")).expect("a signature");
    assert_eq!(
        signed,
        orders::sign(&grant(), &ann()).expect("signed"),
        "byte for byte what the key file signs"
    );
    drop(agent);
}
