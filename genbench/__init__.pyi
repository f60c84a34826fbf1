from genbench.contracts import (
    CAPABILITIES as CAPABILITIES,
    MONITOR as MONITOR,
    Batch as Batch,
    Compression as Compression,
    Compressor as Compressor,
    Conditional as Conditional,
    Data as Data,
    DataAccess as DataAccess,
    Dataset as Dataset,
    DataSpec as DataSpec,
    Decodes as Decodes,
    Denoises as Denoises,
    Discriminates as Discriminates,
    Embeds as Embeds,
    Encodes as Encodes,
    FinishedRuns as FinishedRuns,
    Generates as Generates,
    HasDensity as HasDensity,
    HasLikelihood as HasLikelihood,
    HasVelocity as HasVelocity,
    Metric as Metric,
    MetricContext as MetricContext,
    Model as Model,
    NoisePath as NoisePath,
    Optimizer as Optimizer,
    ParentRun as ParentRun,
    Phase as Phase,
    Picture as Picture,
    Reconstructs as Reconstructs,
    SampleContext as SampleContext,
    Sampler as Sampler,
    Schedule as Schedule,
    Score as Score,
    SourceRun as SourceRun,
    SourceRunHead as SourceRunHead,
    Split as Split,
    Stage as Stage,
    Terms as Terms,
    Translates as Translates,
    evaluations as evaluations,
    prior_kind as prior_kind,
    rendered as rendered,
    samples_data as samples_data,
)
from genbench.engine.batch_norm import statistics_held as statistics_held
from genbench.engine.cpu import cpu_name as cpu_name
from genbench.engine.device import synchronize as synchronize
from genbench.engine.randomness import forked_rng as forked_rng
from genbench.engine.shapes import take_shapes as take_shapes
from genbench.engine.used_nets import used_nets as used_nets
from genbench.errors import (
    DataError as DataError,
    GenbenchError as GenbenchError,
    IncompatibleError as IncompatibleError,
    PluginError as PluginError,
    SamplingError as SamplingError,
    SettingError as SettingError,
    UsageError as UsageError,
)
from genbench.evaluation.calibration import (
    AffineCalibration as AffineCalibration,
    Calibration as Calibration,
    calibration_z as calibration_z,
    fit_calibration as fit_calibration,
)
from genbench.events import (
    ArtifactMade as ArtifactMade,
    Checkpointed as Checkpointed,
    Checkpointing as Checkpointing,
    EpochDone as EpochDone,
    Evaluated as Evaluated,
    Event as Event,
    Noticed as Noticed,
    Resumed as Resumed,
    RunFailed as RunFailed,
    RunListener as RunListener,
    StageStarted as StageStarted,
    StartedRun as StartedRun,
    StepsDone as StepsDone,
    Warned as Warned,
)
from genbench.features.classifier import (
    ClassifierLogits as ClassifierLogits,
    classifier_for as classifier_for,
)
from genbench.features.extractor import (
    Extractor as Extractor,
    PixelFeatures as PixelFeatures,
    real_samples as real_samples,
    resized as resized,
    sample_shape as sample_shape,
)
from genbench.features.sharing import shared_network as shared_network
from genbench.features.tensor_cache import cached_tensors as cached_tensors
from genbench.hookspecs import (
    CONTRACT_VERSION as CONTRACT_VERSION,
    Register as Register,
    RegisterCapability as RegisterCapability,
    hookimpl as hookimpl,
)
from genbench.interactive import (
    curves as curves,
    load as load,
    run as run,
    runs as runs,
    scores as scores,
)
from genbench.pixels import (
    dequantized as dequantized,
    stored_as_float as stored_as_float,
    to_float as to_float,
    to_uint8 as to_uint8,
)
from genbench.runner.trained import TrainedModel as TrainedModel
from genbench.settings import (
    OF_DRAWING as OF_DRAWING,
    CompressorSettings as CompressorSettings,
    DatasetSettings as DatasetSettings,
    ModelSettings as ModelSettings,
    Preset as Preset,
    Settings as Settings,
    Training as Training,
)
from genbench.work.launching import (
    Launcher as Launcher,
    WorkOrder as WorkOrder,
)

__version__: str
