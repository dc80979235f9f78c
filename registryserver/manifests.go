package registryserver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"

	"dist.example/content"
	"dist.example/oci"
)

func unknownManifest(at route) error {
	what := at.tag
	if what == "" {
		what = at.digest.String()
	}
	return refuse(http.StatusNotFound, codeManifestUnknown, "no manifest %s in %s", what, at.name)
}

// getManifest answers GET and HEAD of a manifest by tag or digest.
func (s *server) getManifest(w http.ResponseWriter, r *http.Request, at route) error {
	desc, err := s.findManifest(r.Context(), at)
	if err == nil && !oci.HasSuccessors(desc.MediaType) {
		return refuse(http.StatusNotFound, codeManifestUnknown, "%s in %s is %s, which is no manifest", desc.Digest, at.name, desc.MediaType)
	}
	var body io.ReadSeeker
	switch {
	case err != nil:
	case r.Method == http.MethodHead:
		body, err = s.unread(r.Context(), desc.Digest)
	default:
		body, err = s.manifests.open(r.Context(), s.lib, desc)
	}
	if absent(err) {
		return unknownManifest(at)
	}
	if err != nil {
		return err
	}
	return serve(w, r, desc.Digest, desc.MediaType, body)
}

func (s *server) findManifest(ctx context.Context, at route) (oci.Descriptor, error) {
	if at.tag == "" {
		in, err := s.hasOne(ctx, at)
		if err != nil {
			return oci.Descriptor{}, err
		}
		if !in {
			return oci.Descriptor{}, unknownManifest(at)
		}
		info, err := s.lib.Info(ctx, at.digest)
		return info.Descriptor(), err
	}
	ref, err := s.reference(ctx, at)
	if err != nil {
		return oci.Descriptor{}, err
	}
	desc, err := s.lib.Resolve(ctx, ref)
	if err == nil {
		s.noteUse(ref)
	}
	return desc, err
}

// noteUse notes that a tag was asked for, where the store wants to know.
func (s *server) noteUse(ref oci.Reference) {
	if uses, ok := s.lib.(content.UseNoter); ok && ref.Tag != "" {
		uses.NoteUse(ref)
	}
}

// reference is the name in the store that a tag's path stands for.
func (s *server) reference(ctx context.Context, at route) (oci.Reference, error) {
	repo, err := s.names.repository(ctx, at.name)
	if err != nil {
		return oci.Reference{}, err
	}
	return repo.WithTag(at.tag)
}

// putManifest stores a manifest, and lets the tags name it that came with it.
func (s *server) putManifest(w http.ResponseWriter, r *http.Request, at route) error {
	refs, err := s.tagged(r, at)
	if err != nil {
		return err
	}
	expect, err := s.expectation(r.Context(), r, at)
	if err != nil {
		return err
	}
	data, err := readManifest(w, r)
	if err != nil {
		return err
	}
	leave, err := s.large.takeFor(r.Context(), len(data))
	if err != nil {
		return err
	}
	defer leave()
	desc, edges, err := inspect(r.Header.Get("Content-Type"), data, at.digest)
	if err != nil {
		return err
	}
	if err := s.checkBlobs(r.Context(), at, edges); err != nil {
		return err
	}
	m := pushedManifest{at, desc, edges, data}
	if err := s.storeManifest(r.Context(), m, refs, expect); err != nil {
		return err
	}
	for _, e := range edges {
		if e.Role == oci.RoleSubject {
			w.Header().Set("OCI-Subject", e.Digest.String())
		}
	}
	if at.tag == "" {
		for _, ref := range refs {
			w.Header().Add("OCI-Tag", ref.Tag)
		}
	}
	created(w, "/v2/"+at.name+"/manifests/"+desc.Digest.String(), desc.Digest)
	return nil
}

// maxTags is how many tags one manifest may come with; the draft that has this
// wants ten at least.
const maxTags = 100

// tagged are the names that a PUT gives: that of its path or, when the path has a
// digest, one for each parameter "tag" of the query.
func (s *server) tagged(r *http.Request, at route) ([]oci.Reference, error) {
	tags := []string{at.tag}
	if at.tag == "" {
		tags = r.URL.Query()["tag"]
	}
	if len(tags) > maxTags {
		return nil, refuse(http.StatusRequestURITooLong, codeUnsupported, "a manifest may come with %d tags at most", maxTags)
	}
	var refs []oci.Reference
	for _, tag := range tags {
		if !tagPattern().MatchString(tag) {
			return nil, refuse(http.StatusBadRequest, codeManifestInvalid, "%.200q is no tag", tag)
		}
		at.tag = tag
		ref, err := s.reference(r.Context(), at)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(refs, ref) {
			refs = append(refs, ref)
		}
	}
	return refs, nil
}

// created is the answer to everything that was pushed.
func created(w http.ResponseWriter, location string, d oci.Digest) {
	w.Header().Set("Location", location)
	w.Header().Set("Docker-Content-Digest", d.String())
	w.WriteHeader(http.StatusCreated)
}

func readManifest(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	tooLarge := refuse(http.StatusRequestEntityTooLarge, codeSizeInvalid, "manifests may have %d bytes at most", oci.MaxManifestSize)
	if r.ContentLength > oci.MaxManifestSize {
		return nil, tooLarge
	}
	data, err := io.ReadAll(io.LimitReader(patient(w, r), oci.MaxManifestSize+1))
	switch {
	case err != nil:
		return nil, refuse(http.StatusBadRequest, codeManifestInvalid, "the manifest came only in part")
	case len(data) > oci.MaxManifestSize:
		return nil, tooLarge
	}
	return data, nil
}

// ofItself is what a manifest says of itself, and the descriptors in lists of
// referrers with it: texts, by the image specification.
type ofItself struct {
	ArtifactType string            `json:"artifactType"`
	Annotations  map[string]string `json:"annotations"`
}

// inspect checks a manifest's type, digest and form. want is "" when it is
// pushed by tag.
func inspect(contentType string, data []byte, want oci.Digest) (oci.Descriptor, []oci.Edge, error) {
	mediaType, _, err := mime.ParseMediaType(contentType)
	if err != nil || mediaType == oci.MediaTypeJSON || mediaType == oci.MediaTypeOctets {
		mediaType = oci.DetectManifest(data)
	}
	if !oci.HasSuccessors(mediaType) {
		return oci.Descriptor{}, nil, refuse(http.StatusBadRequest, codeManifestInvalid, "%.100q is no type of manifest that is taken here", mediaType)
	}
	alg := oci.SHA256
	if want != "" {
		alg = want.Algorithm()
	}
	got := alg.FromBytes(data)
	if want != "" && got != want {
		return oci.Descriptor{}, nil, refuse(http.StatusBadRequest, codeDigestInvalid, "the manifest's digest is %s", got)
	}
	edges, err := oci.Successors(mediaType, data)
	if err == nil {
		err = json.Unmarshal(data, &ofItself{})
	}
	if err != nil {
		return oci.Descriptor{}, nil, refuse(http.StatusBadRequest, codeManifestInvalid, "%v", err)
	}
	return oci.Descriptor{MediaType: mediaType, Digest: got, Size: int64(len(data))}, edges, nil
}

// checkBlobs refuses a manifest whose config or layers are not in the repository. A
// manifest that an index lists may be missing, and one that only others have is: who
// pushed the index does not get it that way, nor learns that it exists.
func (s *server) checkBlobs(ctx context.Context, at route, edges []oci.Edge) error {
	edges, digests := needed(edges)
	in, err := s.has(ctx, at.name, digests...)
	if err != nil {
		return err
	}
	if i := slices.Index(in, false); i >= 0 {
		return refuse(http.StatusBadRequest, codeManifestBlobUnknown, "%s %s has to be pushed to %s first", edges[i].Role, edges[i].Digest, at.name)
	}
	return nil
}

// needed are the blobs without which a manifest is not taken: its config and layers.
func needed(edges []oci.Edge) (blobs []oci.Edge, digests []oci.Digest) {
	for _, e := range edges {
		if e.Role == oci.RoleSubject || e.Role == oci.RoleManifest || e.Role == oci.RoleLayer && oci.IsNonDistributable(e.MediaType) {
			continue
		}
		blobs, digests = append(blobs, e), append(digests, e.Digest)
	}
	return blobs, digests
}

// pushedManifest is a manifest that comes to a repository, or to a tag of it.
type pushedManifest struct {
	at    route
	desc  oci.Descriptor
	edges []oci.Edge
	data  []byte
}

// keepBlobs takes what a manifest needs under a lease: it was here a moment ago, and a
// collection may be giving it up.
func (s *server) keepBlobs(ctx context.Context, lease string, m pushedManifest) error {
	_, digests := needed(m.edges)
	if len(digests) == 0 {
		return nil
	}
	err := s.store.Hold(ctx, lease, digests...)
	if absent(err) {
		return lacking(m.desc.Digest)
	}
	return err
}

func lacking(d oci.Digest) error {
	return refuse(http.StatusBadRequest, codeManifestBlobUnknown, "something that %s reaches has to be pushed first", d)
}

// storeManifest makes m held and a part of the repository, and what refs name:
// all of them or none, and only if they name expect. What it needs is here by then: names
// are given only where it is, and without any it is held first.
func (s *server) storeManifest(ctx context.Context, m pushedManifest, refs []oci.Reference, expect *oci.Digest) error {
	desc := m.desc
	repo, err := s.names.repository(ctx, m.at.name)
	if err != nil {
		return err
	}
	lease, done, err := s.leases.use(ctx)
	if err != nil {
		return err
	}
	defer done()
	if len(refs) == 0 {
		if err := s.keepBlobs(ctx, lease, m); err != nil {
			return err
		}
	}
	w, err := s.store.Writer(ctx, content.IngestOptions{
		Expected: desc.Digest, Total: desc.Size, MediaType: desc.MediaType, Lease: lease, Repository: repo.Name(), Again: true,
	})
	if err != nil {
		return err
	}
	if err := writeAll(ctx, w, bytes.NewReader(m.data)); err != nil {
		return err
	}
	if len(refs) == 0 {
		return nil
	}
	var changes []content.NameChange
	for _, ref := range refs {
		changes = append(changes, content.NameChange{Reference: ref, Expect: expect, Target: desc.Digest, Why: "push"})
	}
	err = s.setNames(ctx, desc, changes...)
	if expect != nil && conflicts(err) {
		return preconditionFailed()
	}
	if errors.Is(err, content.ErrNotFound) {
		return lacking(desc.Digest)
	}
	return err
}

// setNames lets tags name a manifest, where nothing speaks against that.
func (s *server) setNames(ctx context.Context, desc oci.Descriptor, changes ...content.NameChange) error {
	if s.o.SetNames == nil {
		return s.store.SetNames(ctx, changes...)
	}
	err := s.o.SetNames(ctx, desc, changes...)
	if errors.Is(err, content.ErrUntrusted) {
		return refuse(http.StatusForbidden, codeDenied, "%v; sign the manifest by its digest, and push the tag then", err)
	}
	if conflicts(err) && changes[0].Expect == nil { // so it is the policy's memory that speaks
		return refuse(http.StatusConflict, codeDenied, "a newer manifest was accepted for the tag meanwhile")
	}
	return err
}

// writeAll makes r the whole content of w, and closes w.
func writeAll(ctx context.Context, w content.Writer, r io.Reader) error {
	defer w.Close()
	if _, err := io.Copy(w, r); err != nil {
		return err
	}
	_, err := w.Commit(ctx)
	return err
}

// deleteManifest removes a tag, or a manifest and its tags in this repository.
func (s *server) deleteManifest(w http.ResponseWriter, r *http.Request, at route) error {
	desc, err := s.findManifest(r.Context(), at)
	if err == nil {
		err = holds(r, desc.Digest)
	}
	switch {
	case err != nil:
	case at.tag != "":
		err = s.deleteTag(r, at, desc.Digest)
	case !oci.HasSuccessors(desc.MediaType):
		err = unknownManifest(at)
	default:
		err = s.remove(r.Context(), at)
	}
	if errors.Is(err, content.ErrNotFound) {
		return unknownManifest(at)
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// deleteTag takes a tag away, whatever it stands for or, when the request has a
// condition, if that is still what was found.
func (s *server) deleteTag(r *http.Request, at route, found oci.Digest) error {
	ref, err := s.reference(r.Context(), at)
	if err != nil {
		return err
	}
	change := content.NameChange{Reference: ref, Why: "remove"}
	if conditional(r) {
		change.Expect = &found
	}
	err = s.store.SetNames(r.Context(), change)
	if conflicts(err) {
		return preconditionFailed()
	}
	return err
}
