#include "gemm.h"

#include <cblas.h>

enum vqct_status gemm_run(const struct gemm *gemm, const struct exec *exec) {
  (void)exec;
  cblas_sgemm(CblasRowMajor, gemm->a.transposed ? CblasTrans : CblasNoTrans,
              gemm->b.transposed ? CblasTrans : CblasNoTrans, (int)gemm->rows, (int)gemm->columns,
              (int)gemm->depth, gemm->scale, gemm->a.data, (int)gemm->a.stride, gemm->b.data,
              (int)gemm->b.stride, gemm->accumulate ? 1.0F : 0.0F, gemm->c, (int)gemm->c_stride);
  return VQCT_OK;
}
