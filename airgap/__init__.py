"""Carry BentoML services across an air gap.

The functions have the shape of BentoML's own: a script changes one import. They are imported when
they are first used, so that ``import airgap`` costs nothing. What airgap has no need to change,
such as ``build`` and ``Tag``, is passed on from BentoML.
"""

import importlib
from typing import TYPE_CHECKING, Any, Final

from airgap.version import __version__

if TYPE_CHECKING:
    import builtins

    from bentoml import (
        Bento as Bento,
    )
    from bentoml import (
        Model as Model,
    )
    from bentoml import (
        Tag as Tag,
    )
    from bentoml import (
        build as build,
    )
    from bentoml import (
        catboost as catboost,
    )
    from bentoml import (
        detectron as detectron,
    )
    from bentoml import (
        diffusers as diffusers,
    )
    from bentoml import (
        easyocr as easyocr,
    )
    from bentoml import (
        fastai as fastai,
    )
    from bentoml import (
        flax as flax,
    )
    from bentoml import (
        keras as keras,
    )
    from bentoml import (
        lightgbm as lightgbm,
    )
    from bentoml import (
        load as load,
    )
    from bentoml import (
        mlflow as mlflow,
    )
    from bentoml import (
        onnx as onnx,
    )
    from bentoml import (
        picklable_model as picklable_model,
    )
    from bentoml import (
        pytorch as pytorch,
    )
    from bentoml import (
        pytorch_lightning as pytorch_lightning,
    )
    from bentoml import (
        serve as serve,
    )
    from bentoml import (
        sklearn as sklearn,
    )
    from bentoml import (
        tensorflow as tensorflow,
    )
    from bentoml import (
        torchscript as torchscript,
    )
    from bentoml import (
        transformers as transformers,
    )
    from bentoml import (
        xgboost as xgboost,
    )

    from airgap import (
        archive,
        bentos,
        cloud,
        errors,
        exceptions,
        keys,
        models,
        receipts,
        results,
        roots,
        trust,
    )
    from airgap.api.approvals import (
        approve,
        attest,
        sign,
        sign_waiver,
        waive,
    )
    from airgap.api.audits import (
        audit,
    )
    from airgap.api.bentos import (
        delete,
        get,
        list,
        pull,
        push,
    )
    from airgap.api.bills import (
        bill_of_materials,
        licenses,
    )
    from airgap.api.evidence import (
        attach,
        collect_evidence,
    )
    from airgap.api.examining import (
        diff,
        inspect,
        verify,
    )
    from airgap.api.export_options import (
        ExportOptions,
    )
    from airgap.api.exporting import (
        export_bento,
        export_bundle,
        export_model,
        plan_export,
    )
    from airgap.api.importing import (
        ImportOptions,
        import_bento,
        import_bundle,
        import_model,
    )
    from airgap.api.installed import (
        check,
        list_items,
        log,
        prune,
        remove,
    )
    from airgap.api.progress import (
        ProgressCallback,
        ProgressEvent,
    )
    from airgap.api.scans import (
        scan_bundle,
        scan_installed,
    )
    from airgap.api.sealing import (
        seal,
        unseal,
    )
    from airgap.api.timestamps import (
        timestamp,
        verify_as_of,
    )
    from airgap.errors import (
        AirgapError,
        ConfigurationError,
        ConflictError,
        CorruptError,
        InterruptedByUser,
        MissingError,
        NotTrustedError,
        PolicyError,
        StorageError,
        TransportError,
        UsageError,
    )

__all__ = [
    "AirgapError",
    "ConfigurationError",
    "ConflictError",
    "CorruptError",
    "ExportOptions",
    "ImportOptions",
    "InterruptedByUser",
    "MissingError",
    "NotTrustedError",
    "PolicyError",
    "ProgressCallback",
    "ProgressEvent",
    "StorageError",
    "TransportError",
    "UsageError",
    "__version__",
    "approve",
    "archive",
    "attach",
    "attest",
    "audit",
    "bentos",
    "bill_of_materials",
    "check",
    "cloud",
    "collect_evidence",
    "delete",
    "diff",
    "errors",
    "exceptions",
    "export_bento",
    "export_bundle",
    "export_model",
    "get",
    "import_bento",
    "import_bundle",
    "import_model",
    "inspect",
    "keys",
    "licenses",
    "list",
    "list_items",
    "log",
    "models",
    "plan_export",
    "prune",
    "pull",
    "push",
    "receipts",
    "remove",
    "results",
    "roots",
    "scan_bundle",
    "scan_installed",
    "seal",
    "sign",
    "sign_waiver",
    "timestamp",
    "trust",
    "unseal",
    "verify",
    "verify_as_of",
    "waive",
]

_HOMES: Final = {
    "airgap.api.approvals": ("approve", "attest", "sign", "sign_waiver", "waive"),
    "airgap.api.audits": ("audit",),
    "airgap.api.bentos": ("delete", "get", "list", "pull", "push"),
    "airgap.api.bills": ("bill_of_materials", "licenses"),
    "airgap.api.evidence": ("attach", "collect_evidence"),
    "airgap.api.scans": ("scan_bundle", "scan_installed"),
    "airgap.api.sealing": ("seal", "unseal"),
    "airgap.api.examining": ("diff", "inspect", "verify"),
    "airgap.api.export_options": ("ExportOptions",),
    "airgap.api.exporting": ("export_bento", "export_bundle", "export_model", "plan_export"),
    "airgap.api.importing": ("ImportOptions", "import_bento", "import_bundle", "import_model"),
    "airgap.api.installed": ("check", "list_items", "log", "prune", "remove"),
    "airgap.api.progress": ("ProgressCallback", "ProgressEvent"),
    "airgap.api.timestamps": ("timestamp", "verify_as_of"),
    "airgap.errors": (
        "AirgapError",
        "ConfigurationError",
        "ConflictError",
        "CorruptError",
        "InterruptedByUser",
        "MissingError",
        "NotTrustedError",
        "PolicyError",
        "StorageError",
        "TransportError",
        "UsageError",
    ),
}
"""Which module has which names."""
_MODULES: Final = (
    "archive",
    "bentos",
    "cloud",
    "errors",
    "exceptions",
    "keys",
    "models",
    "receipts",
    "results",
    "roots",
    "trust",
)
_PASSED_ON: Final = (
    "Bento",
    "Model",
    "Tag",
    "build",
    "load",
    "serve",
    "catboost",
    "detectron",
    "diffusers",
    "easyocr",
    "fastai",
    "flax",
    "keras",
    "lightgbm",
    "mlflow",
    "onnx",
    "picklable_model",
    "pytorch",
    "pytorch_lightning",
    "sklearn",
    "tensorflow",
    "torchscript",
    "transformers",
    "xgboost",
)
"""What is BentoML's own."""


if not TYPE_CHECKING:  # a type checker knows the names, and sees the ones that are wrong

    def __getattr__(name: str) -> Any:  # noqa: ANN401  (a module may hold anything)
        if name in _MODULES:
            return importlib.import_module(f"airgap.{name}")
        if name in _PASSED_ON:
            return getattr(importlib.import_module("bentoml"), name)
        for home, names in _HOMES.items():
            if name in names:
                return getattr(importlib.import_module(home), name)
        raise AttributeError(f"module 'airgap' has no attribute {name!r}")


def __dir__() -> "builtins.list[str]":
    return __all__
