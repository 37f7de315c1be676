"""The names that a pickle may ask for: what frameworks need to load weights, and no more.

A name is listed only if nothing that a pickle can pass to it runs code, opens a file or changes a
class. What is not listed is refused, whatever it is: a list of bad names is never complete.
"""

import re
from typing import Final

__all__ = ["is_allowed", "may_be_called"]

# Called with arguments of the pickle's choice (REDUCE), or made without a call and filled (BUILD).
_CALLED: Final = frozenset(
    {
        *(f"builtins.{name}" for name in ("bytearray", "complex", "frozenset", "set", "slice")),
        *(f"__builtin__.{name}" for name in ("bytearray", "complex", "frozenset", "set", "slice")),
        "builtins.range",
        "_codecs.encode",
        "copyreg._reconstructor",
        "copy_reg._reconstructor",
        "collections.Counter",
        "collections.OrderedDict",
        "collections.defaultdict",
        "collections.deque",
        "datetime.date",
        "datetime.datetime",
        "datetime.timedelta",
        "datetime.timezone",
        "decimal.Decimal",
        "fractions.Fraction",
        "uuid.UUID",
        *(
            f"numpy{core}.multiarray.{name}"
            for core in (".core", "._core")
            for name in ("_reconstruct", "scalar")
        ),
        "numpy.core.numeric._frombuffer",
        "numpy._core.numeric._frombuffer",
        "numpy.dtype",
        "numpy.ndarray",
        "numpy.ma.core._mareconstruct",
        *(
            f"numpy.random._pickle.{name}"
            for name in ("__bit_generator_ctor", "__generator_ctor", "__randomstate_ctor")
        ),
        "numpy.random.bit_generator.__pyx_unpickle_SeedSequence",
        "torch.Size",
        "torch.device",
        "torch._utils._rebuild_parameter",
        "torch._utils._rebuild_parameter_with_state",
        "torch._utils._rebuild_qtensor",
        "torch._utils._rebuild_sparse_tensor",
        "torch._utils._rebuild_tensor",
        "torch._utils._rebuild_tensor_v2",
        "torch._utils._rebuild_tensor_v3",
        "torch._tensor._rebuild_from_type_v2",
        "torch.serialization._get_layout",
        "sklearn.metrics._dist_metrics.newObj",
        "sklearn.tree._tree.Tree",
        "sklearn.neighbors._kd_tree.newObj",
        "sklearn.neighbors._ball_tree.newObj",
    }
)
# Named and never called by the pickle: `object` as a base, types of numbers, a layer's activation.
_NAMED: Final = frozenset(
    {
        *(f"builtins.{name}" for name in ("bool", "bytes", "dict", "float", "int", "list")),
        *(f"builtins.{name}" for name in ("object", "str", "tuple")),
        *(f"__builtin__.{name}" for name in ("dict", "float", "int", "list", "object", "tuple")),
        "joblib.numpy_pickle.NumpyArrayWrapper",
        "numpy.random.bit_generator.SeedSequence",
        "numpy.ma.MaskedArray",
        "numpy.ma.core.MaskedArray",
        "torch.nn.parameter.Parameter",
        "torch.Tensor",
        "torch.FloatStorage",
        "torch.DoubleStorage",
        "torch.HalfStorage",
        "torch.BFloat16Storage",
        "torch.LongStorage",
        "torch.IntStorage",
        "torch.ShortStorage",
        "torch.CharStorage",
        "torch.ByteStorage",
        "torch.BoolStorage",
        "torch.ComplexFloatStorage",
        "torch.ComplexDoubleStorage",
        "torch.QInt8Storage",
        "torch.QInt32Storage",
        "torch.QUInt8Storage",
        "torch.storage.UntypedStorage",
        "torch.storage.TypedStorage",
        "torch._C._nn.gelu",
        *(f"torch.nn.functional.{name}" for name in ("gelu", "relu", "silu")),
        "torch.per_tensor_affine",
        "torch.per_channel_affine",
    }
)
# Classes that are made empty and filled: estimators, sparse matrices, layers.
_FAMILIES: Final = re.compile(
    r"sklearn(?:\.\w+)+\._*[A-Z]\w*"
    r"|(?:xgboost|lightgbm)\.(?:basic|core|sklearn)\.[A-Z]\w*"
    r"|scipy\.sparse\._?\w+\.(?:bsr|coo|csc|csr|dia|dok|lil)_(?:array|matrix)"
    r"|torch\.nn\.modules\.\w+\.[A-Z]\w*"
    r"|numpy\.random\._\w+\.(?:MT19937|PCG64(?:DXSM)?|Philox|SFC64)"
    r"|numpy\.(?:bool_?|u?int(?:8|16|32|64)|float(?:16|32|64)|complex(?:64|128)|str_|bytes_)"
    r"|torch\.(?:bool|u?int(?:8|16|32|64)|b?float(?:16|32|64)?|half|double|long|complex(?:64|128)"
    r"|float8_\w+|qint8|quint8|qint32|strided|sparse_coo)"
)
# Families of which a class may be called, too.
_CALLED_FAMILIES: Final = re.compile(r"sklearn\.(?:_loss\.\w+|linear_model\._sgd_fast)\.[A-Z]\w*")


def is_allowed(name: str) -> bool:
    """Tell whether a pickle may ask for ``module.name`` at all."""
    return name in _CALLED or name in _NAMED or _FAMILIES.fullmatch(name) is not None


def may_be_called(name: str) -> bool:
    """Tell whether a pickle may call ``module.name`` with arguments of its choice."""
    return name in _CALLED or _CALLED_FAMILIES.fullmatch(name) is not None
