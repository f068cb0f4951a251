// What may be written next in a Dockerfile, by what stands before it on its line.

const INSTRUCTIONS = {
  ADD: "copy files, unpack archives, fetch addresses",
  ARG: "a variable of the build",
  CMD: "what a container runs when nobody says otherwise",
  COPY: "copy files of the context or of a stage",
  ENTRYPOINT: "what a container always runs",
  ENV: "a variable in the container",
  EXPOSE: "a port that it listens on",
  FROM: "the image to build on; a new stage",
  HEALTHCHECK: "how to find out whether it is well",
  LABEL: "a note on the image",
  ONBUILD: "for builds on top of this image",
  RUN: "a command that changes the image",
  SHELL: "what runs the shell forms",
  STOPSIGNAL: "the signal that ends it",
  USER: "who runs what follows",
  VOLUME: "a directory whose files outlive the container",
  WORKDIR: "where what follows happens",
};

const FLAGS = {
  ADD: ["--chmod=", "--chown=", "--checksum=", "--exclude=", "--link", "--unpack"],
  COPY: ["--chmod=", "--chown=", "--exclude=", "--from=", "--link", "--parents"],
  FROM: ["--platform="],
  HEALTHCHECK: ["--interval=", "--retries=", "--start-interval=", "--start-period=", "--timeout="],
  RUN: [
    "--mount=type=bind,",
    "--mount=type=cache,target=",
    "--mount=type=secret,id=",
    "--mount=type=ssh",
    "--mount=type=tmpfs,target=",
    "--network=none",
  ],
};

/** The names that stages of `text` have. */
export function stages(text) {
  return [...text.matchAll(/^\s*FROM\s+.*\sAS\s+(\S+)/gim)].map((match) => match[1]);
}

/** The names that ARG and ENV of `text` give. */
export function variables(text) {
  return [...new Set([...text.matchAll(/^\s*(?:ARG|ENV)\s+([A-Za-z_]\w*)/gim)].map((match) => match[1]))];
}

/** Where in `line`, which ends at the cursor, the word begins that may be completed: behind `from=`, `$` and `${` too. */
export function beginning(line) {
  const [, behind] = /(?:\$\{?|(?:--|,)from=)([\w.-]*)$/.exec(line) ?? [];
  return line.length - (behind ?? /(?:[A-Za-z=-]+[\w-]*)?$/.exec(line)[0]).length;
}

/** Completions behind `before`, the beginning of a line; `text` is the whole file. */
export function completions(text, before) {
  const words = before.trim().split(/\s+/).filter(Boolean);
  if (words.length === 0) {
    return Object.entries(INSTRUCTIONS).map(([label, detail]) => ({ label, detail, type: "keyword", apply: `${label} ` }));
  }
  const instruction = words[0].toUpperCase();
  if (/(--|,)from=$/.test(before)) return stages(text).map((label) => ({ label, type: "variable" }));
  if (/\$\{?$/.test(before)) return variables(text).map((label) => ({ label, type: "variable" }));
  if (instruction === "FROM" && words.length === 1) {
    return [...stages(text), "scratch"].map((label) => ({ label, type: "variable" }));
  }
  const flagged = words.slice(1).every((word) => word.startsWith("--"));
  return flagged ? (FLAGS[instruction] ?? []).map((label) => ({ label, type: "property" })) : [];
}
