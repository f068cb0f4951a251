"""The checks by name: BuildKit's description of each, and why it matters."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_PAGES: Final = "https://docs.docker.com/go/dockerfile/rule"


@dataclass(frozen=True, slots=True)
class Rule:
    """A check."""

    name: str
    description: str
    explanation: str
    """Why it matters, and what to write instead."""
    experimental: bool = False
    """Only looked for when it is asked for."""

    @property
    def url(self) -> str:
        """BuildKit's page about it."""
        words = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", self.name)
        return f"{_PAGES}/{words.lower()}/"


STAGE_NAME_CASING: Final = Rule(
    "StageNameCasing",
    "Stage names should be lowercase",
    "Stage names are kept in small letters whatever the file has. Written so, they are told from the instructions at a "
    "glance.",
)
FROM_AS_CASING: Final = Rule(
    "FromAsCasing",
    "The 'as' keyword should match the case of the 'from' keyword",
    "FROM and AS are one instruction: both in capitals, or neither.",
)
NO_EMPTY_CONTINUATION: Final = Rule(
    "NoEmptyContinuation",
    "Empty continuation lines will become errors in a future release",
    "The line above ends with a backslash, so the instruction goes on behind the empty line, which is easily missed. "
    "Remove the line, or put a comment there.",
)
CONSISTENT_INSTRUCTION_CASING: Final = Rule(
    "ConsistentInstructionCasing",
    "All commands within the Dockerfile should use the same casing (either upper or lower)",
    "Instructions may be written either way; all of them one way read better.",
)
DUPLICATE_STAGE_NAME: Final = Rule(
    "DuplicateStageName",
    "Stage names should be unique",
    "COPY --from and --target by this name mean one of the two stages, and hardly anybody can say which.",
)
RESERVED_STAGE_NAME: Final = Rule(
    "ReservedStageName",
    "Reserved words should not be used as stage names",
    "scratch is the empty image and context the build's files: a stage with that name can not be told from them.",
)
JSON_ARGS_RECOMMENDED: Final = Rule(
    "JSONArgsRecommended",
    "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals",
    "In this form a shell is process 1 and the program its child. The shell does not pass SIGTERM on, so that docker "
    'stop waits ten seconds and kills. Written as ["program", "argument"], the program itself is process 1.',
)
MAINTAINER_DEPRECATED: Final = Rule(
    "MaintainerDeprecated",
    "The MAINTAINER instruction is deprecated, use a label instead to define an image author",
    "A label tells the same, and can be searched for and read by tools that know nothing of MAINTAINER.",
)
UNDEFINED_ARG_IN_FROM: Final = Rule(
    "UndefinedArgInFrom",
    "FROM command must use declared ARGs",
    "FROM sees only what an ARG above the first FROM declares, and the predefined arguments about platforms. This name "
    "stands for nothing, and nothing is put in its place.",
)
WORKDIR_RELATIVE_PATH: Final = Rule(
    "WorkdirRelativePath",
    "Relative workdir without an absolute workdir declared within the build can have unexpected results if the base "
    "image changes",
    "The path begins where the base image's working directory happens to be. Write it from / on, or set an absolute "
    "one first.",
)
UNDEFINED_VAR: Final = Rule(
    "UndefinedVar",
    "Variables should be defined before their use",
    "No ARG or ENV above sets this variable, nor does the base image: nothing is put in its place.",
)
MULTIPLE_INSTRUCTIONS_DISALLOWED: Final = Rule(
    "MultipleInstructionsDisallowed",
    "Multiple instructions of the same type should not be used in the same stage",
    "An image has one command, one entrypoint and one health check. A later instruction replaces this one.",
)
LEGACY_KEY_VALUE_FORMAT: Final = Rule(
    "LegacyKeyValueFormat",
    "Legacy key/value format with whitespace separator should not be used",
    "With a space, all that follows is the value, further name=value included. With = it is plain where a value ends.",
)
INVALID_BASE_IMAGE_PLATFORM: Final = Rule(
    "InvalidBaseImagePlatform",
    "Base image platform does not match expected target platform",
    "The programs of the base image are for another kind of processor than the image is built for.",
)
REDUNDANT_TARGET_PLATFORM: Final = Rule(
    "RedundantTargetPlatform",
    "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior",
    "FROM takes the base image for the target's platform anyway.",
)
SECRETS_USED_IN_ARG_OR_ENV: Final = Rule(
    "SecretsUsedInArgOrEnv",
    "Sensitive data should not be used in the ARG or ENV commands",
    "Arguments and variables stay in the image's history and config, for everybody who can pull it. Give a secret to "
    "the one RUN that needs it: RUN --mount=type=secret,id=name.",
)
INVALID_DEFAULT_ARG_IN_FROM: Final = Rule(
    "InvalidDefaultArgInFrom",
    "Default value for global ARG results in an empty or invalid base image name",
    "Without --build-arg there is no base image. Give the argument a default that names one.",
)
FROM_PLATFORM_FLAG_CONST_DISALLOWED: Final = Rule(
    "FromPlatformFlagConstDisallowed",
    "FROM --platform flag should not use a constant value",
    "The image can then be built for this platform only. Write $BUILDPLATFORM or $TARGETPLATFORM, or leave it to who "
    "builds; a stage that is for one platform says so in its name.",
)
COPY_IGNORED_FILE: Final = Rule(
    "CopyIgnoredFile",
    "Attempting to Copy file that is excluded by .dockerignore",
    "A pattern in .dockerignore keeps this file out of the context, so that the build does not find it.",
)
INVALID_DEFINITION_DESCRIPTION: Final = Rule(
    "InvalidDefinitionDescription",
    "Comment for build stage or argument should follow the format: `# <arg/stage name> <description>`. If this is not "
    "intended to be a description comment, add an empty line or comment between the instruction and the comment.",
    "A comment right above FROM or ARG is taken for the description of the stage or the argument, when it begins with "
    "the name.",
    experimental=True,
)
EXPOSE_PROTO_CASING: Final = Rule(
    "ExposeProtoCasing",
    "Protocol in EXPOSE instruction should be lowercase",
    "Images have tcp, udp and sctp in small letters.",
)
EXPOSE_INVALID_FORMAT: Final = Rule(
    "ExposeInvalidFormat",
    "IP address and host-port mapping should not be used in EXPOSE instruction. This will become an error in a future "
    "release",
    "An image can not say which of the host's ports lead to it: docker run -p does. EXPOSE takes the container's port.",
)

RULES: Final = tuple(value for value in globals().values() if isinstance(value, Rule))
BY_NAME: Final = {rule.name: rule for rule in RULES}
