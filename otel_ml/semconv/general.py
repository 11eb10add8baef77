"""Names of the conventions for services, code and errors."""

from __future__ import annotations

from typing import Final

ERROR_TYPE: Final = "error.type"
EXCEPTION_TYPE: Final = "exception.type"
EXCEPTION_MESSAGE: Final = "exception.message"
EXCEPTION_STACKTRACE: Final = "exception.stacktrace"
SERVICE_NAME: Final = "service.name"
SERVICE_NAMESPACE: Final = "service.namespace"
SERVICE_VERSION: Final = "service.version"
SERVICE_INSTANCE_ID: Final = "service.instance.id"
DEPLOYMENT_ENVIRONMENT_NAME: Final = "deployment.environment.name"
PROMOTED_RESOURCE_ATTRIBUTES: Final = (
    SERVICE_NAME,
    SERVICE_NAMESPACE,
    SERVICE_INSTANCE_ID,
    SERVICE_VERSION,
    DEPLOYMENT_ENVIRONMENT_NAME,
    "k8s.cluster.name",
    "k8s.namespace.name",
    "k8s.deployment.name",
    "k8s.pod.name",
    "k8s.node.name",
    "team",
)
"""Attributes of the resource that are labels of every series, pushed or scraped; as in ``prometheus.yml``."""
CODE_FILE_PATH: Final = "code.file.path"
CODE_FUNCTION_NAME: Final = "code.function.name"
CODE_LINE_NUMBER: Final = "code.line.number"
EXCEPTION_EVENT: Final = "exception"
"""Name of the span event of an exception."""
