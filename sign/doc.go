// Package sign makes and judges signatures of manifests: keys, the two forms in which
// a signature is kept, and the policy that says whose signature a name needs. All of
// it works without a network, on bytes that the caller got elsewhere: the package
// knows neither stores nor registries.
//
// # Forms
//
// A signature is a blob that a manifest carries, in the forms that cosign reads:
//
//   - tag form (simple signing): the payload names the manifest's digest and who it is
//     for (docker-reference); the signature over the payload's bytes is an annotation of
//     the layer. Its manifest has the tag ALG-HEX.sig in the subject's repository.
//   - bundle form: a sigstore bundle v0.3 with a DSSE envelope around an in-toto
//     statement v1 of type https://sigstore.dev/cosign/sign/v1. Its manifest is a
//     referrer of the subject.
//
// Payloads in a manifest that has a subject (cosign's --experimental-oci11) are read
// and never written. Bytes made by others are kept as they are.
//
// # What is signed
//
// The digest of the manifest, in bundles also that of another algorithm; its identity,
// which is the full name (host/repository:tag) that it is signed for; a serial, the seconds
// since 1970 at signing, by which an older signature of the same name is known; and
// who made it. cosign's own bundles name nobody: they count only where a rule says
// that it takes them (unbound).
//
// # Rules that hold
//
//   - Whether a signature counts is decided by a key that the caller trusts. What the
//     signature says of its key (the hint) only orders the attempts.
//   - The algorithm follows from the key, never from the message.
//   - Each candidate is judged alone: a bad one never hides a good one, and each that
//     does not count has its own reason.
//   - Everything read has a cap: MaxEnvelope, MaxKeyFile, MaxPolicy; MaxCandidates is
//     for those who gather signatures.
//   - JSON in which a key stands twice, or that goes on after its end, is refused.
//   - A passphrase is asked for when it is needed, once for each key, and is never part
//     of an error.
//
// Signatures with certificates (keyless, private authorities) are told apart and not
// judged: they do not count, and are not called forged.
package sign
